// What the tests of the command line share: a temporary tree, and the program spawned as a user would.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** A new folder that holds `files` (path -> text or bytes) and goes away after test `t`. */
export function folderWith(t, files = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'nearfield-cli-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  writeFiles(folder, files);
  return folder;
}

export function writeFiles(folder, files) {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
}

/** The environment without what changes colours, so that tests mean the same everywhere. */
export function plainEnvironment(extra = {}) {
  const environment = { ...process.env, TERM: 'xterm-256color', ...extra };
  for (const name of ['NO_COLOR', 'FORCE_COLOR', 'NODE_OPTIONS']) if (!(name in extra)) delete environment[name];
  return environment;
}

/** Starts a command; `done` resolves to { code, signal, stdout, stderr }. */
export function start(command, words, { cwd, env } = {}) {
  const child = spawn(command, words, { cwd, env: plainEnvironment(env), stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const done = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, done };
}

/** Runs `nearfield ...words` in `cwd` to its end. */
export function nearfield(words, options) {
  return start(process.execPath, [program, ...words], options).done;
}

export function jsonLines(text) {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** A small repository: two features with requirements, design and tasks, a steering file and a plain document. */
export const repository = {
  '.kiro/specs/uploads/requirements.md': `# Requirements Document

## Requirements

### Requirement 1: Resumable uploads

**User Story:** As a photographer, I want uploads to survive a lost connection, so that I do not start over.

#### Acceptance Criteria

1. WHEN a connection drops THEN the uploader SHALL retry with exponential backoff
2. WHEN five retries have failed THEN the uploader SHALL report the failure to the user

### Requirement 2: Thumbnails

**User Story:** As a visitor, I want small previews, so that pages load quickly.

#### Acceptance Criteria

1. WHEN an image is stored THEN the system SHALL render a thumbnail of 256 pixels
`,
  '.kiro/specs/uploads/design.md': `# Design

## Overview

The uploader sends parts of eight megabytes and keeps a journal of parts that arrived.

## Decision: journal in the browser

The journal lives in the browser, because the server forgets half-finished uploads after a day.
`,
  '.kiro/specs/uploads/tasks.md': `# Implementation Plan

- [x] 1. Write the upload journal
  - Keep the parts that arrived
  - _Requirements: 1.1_
- [ ] 2. Retry with backoff
  - _Requirements: 1.1, 1.2_
- [-] 3. Render thumbnails
  - _Requirements: 2.1_
`,
  '.kiro/specs/search/requirements.md': `# Requirements Document

### Requirement 1: Search as you type

**User Story:** As a visitor, I want results while typing, so that I find pictures faster.

#### Acceptance Criteria

1. WHEN a visitor types THEN the gallery SHALL show matching pictures within 100 milliseconds
`,
  '.kiro/steering/product.md': `# Product

A gallery for photographers who care about privacy.
`,
  'docs/operations.md': `# Operations

## Rotating keys

Signing keys are rotated every ninety days by the night job.
`,
  'docs/notes.txt': 'Not markdown: zebra crossing.\n',
  'node_modules/left/readme.md': '# Never read: zebra crossing.\n',
  '.hidden/secret.md': '# Never read: zebra crossing.\n',
};
