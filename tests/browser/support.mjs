// What the browser tests share: the demo on a server of its own, headless Chromium, and a page whose every complaint
// (console errors, uncaught exceptions, violations of its security policy, failed requests) is collected.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { buildDemo, serveDemo } from '../../scripts/start.mjs';

const project = join(import.meta.dirname, '../..');

/** A folder below the system's temporary one, removed when the test ends. */
export async function temporaryFolder(test) {
  const folder = await mkdtemp(join(tmpdir(), 'nearfield-browser-'));
  test.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Writes files given as { 'path/inside.md': text or bytes } below a new folder of that name; answers its path. */
export async function folderOf(test, name, files) {
  const folder = join(await temporaryFolder(test), name);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  return folder;
}

function chromiumPath() {
  const noted = join(project, '.toolchain/chromium');
  const candidates = [process.env.NEARFIELD_CHROMIUM, existsSync(noted) ? readFileSync(noted, 'utf8').trim() : ''];
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      candidates.push(execFileSync('which', [name], { encoding: 'utf8', stdio: 'pipe' }).trim());
    } catch {
      // Not that one.
    }
  }
  const found = candidates.find((path) => path && existsSync(path));
  assert.ok(found, 'no Chromium was found; run scripts/setup --test, or set NEARFIELD_CHROMIUM to its path');
  return found;
}

/** Headless Chromium with a profile in `profile` (a temporary one by default). */
export async function launch(test, profile) {
  const browser = await puppeteer.launch({
    executablePath: chromiumPath(),
    userDataDir: profile ?? (await temporaryFolder(test)),
    args: [
      // Chromium's sandbox does not start as root.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-dev-shm-usage',
    ],
  });
  test.after(() => browser.close());
  return browser;
}

/** The demo, put together in a folder of its own and served below a sub-path, as a static host would. */
export async function serve(test) {
  const folder = await buildDemo({ output: join(await temporaryFolder(test), 'site') });
  const server = await serveDemo({ folder, port: 0, base: '/some/where/' });
  test.after(() => server.close());
  return server;
}

/**
 * A page with `complaints` (must stay empty) and `requests` (addresses, in order).
 * @param {import('puppeteer-core').Browser | import('puppeteer-core').BrowserContext} browser
 */
export async function newPage(browser) {
  const page = await browser.newPage();
  const complaints = [];
  const requests = [];
  page.on('console', (message) => {
    if (['error', 'warn', 'assert'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith('data:')) requests.push(request.url());
  });
  page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on('response', (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
  });
  return { page, complaints, requests };
}

/**
 * Waits until a library is open, counted and ready to search, or the page says what is wrong; answers what it says.
 */
export async function ready(page, library = 'samples') {
  await page.waitForFunction(
    (id) =>
      !document.body.hasAttribute('aria-busy') &&
      (document.body.dataset.ready === id || !document.querySelector('#error').hidden),
    { timeout: 60_000 },
    library,
  );
  return page.evaluate(() => ({
    how: document.body.dataset.opened,
    text: document.querySelector('#opened').textContent,
    error: document.querySelector('#error').hidden ? '' : document.querySelector('#error').textContent,
  }));
}

/** Types a question into the emptied search field and waits for its answer; answers the hits as the page shows them. */
export async function search(page, question) {
  await page.evaluate(() => {
    document.querySelector('#count').textContent = '…';
    document.querySelector('#query').value = '';
  });
  await page.type('#query', question);
  await page.waitForFunction(
    (wanted) =>
      new URLSearchParams(location.hash.slice(1)).get('q') === wanted &&
      !['…', ''].includes(document.querySelector('#count').textContent),
    {},
    question,
  );
  return shownHits(page);
}

export const shownHits = (page) =>
  page.$$eval('.hit', (items) =>
    items.map((item) => ({
      type: item.querySelector('.type').textContent,
      title: item.querySelector('.title').textContent,
      place: item.querySelector('.place code').textContent,
      snippet: item.querySelector('.snippet').textContent,
      marks: [...item.querySelectorAll('.snippet mark')].map((mark) => mark.textContent),
    })),
  );
