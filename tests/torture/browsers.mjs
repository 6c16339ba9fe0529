// The browsers that can be attacked on this machine, and how they are started and killed.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

const project = join(import.meta.dirname, '../..');
const commands = {
  chromium: ['chromium', 'chromium-browser', 'google-chrome'],
  firefox: ['firefox-esr', 'firefox'],
};

/** Where 'chromium' or 'firefox' is; undefined where it is not installed. */
export function findBrowser(kind) {
  const noted = join(project, '.toolchain', kind);
  const candidates = [
    process.env[`NEARFIELD_${kind.toUpperCase()}`],
    existsSync(noted) ? readFileSync(noted, 'utf8').trim() : '',
  ];
  for (const name of commands[kind]) {
    try {
      const path = execFileSync('which', [name], { encoding: 'utf8', stdio: 'pipe' }).trim();
      execFileSync(path, ['--version'], { stdio: 'pipe' });
      candidates.push(path);
    } catch {
      // Not that one, or not one that runs.
    }
  }
  return candidates.find((path) => path && existsSync(path));
}

/** Starts the browser with what is kept in the folder `profile`. */
export function launchBrowser(kind, profile) {
  return puppeteer.launch({
    browser: kind === 'firefox' ? 'firefox' : 'chrome',
    executablePath: findBrowser(kind),
    userDataDir: profile,
    // Whoever listens for Ctrl-C ends the browser too.
    handleSIGINT: process.listenerCount('SIGINT') === 0,
    timeout: 120_000,
    protocolTimeout: 120_000,
    args:
      kind === 'firefox'
        ? []
        : [
            // Chromium's sandbox does not start as root.
            ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-dev-shm-usage',
          ],
  });
}

/** SIGKILL to the browser and every process it started. */
export async function killBrowser(browser) {
  const child = browser.process();
  const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
  // It leads a process group of its own.
  process.kill(-child.pid, 'SIGKILL');
  await gone;
}
