// Real browsers and a server over the project's files, for the tests of storage.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import puppeteer from 'puppeteer-core';
import { launch as launchChromium, temporaryFolder } from './support.mjs';

const project = join(import.meta.dirname, '../..');
const types = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** By name, functions that answer a running browser, or undefined where there is none. */
export const browsers = {
  Chromium: (test) => launchChromium(test),
  Firefox: async (test) => {
    const candidates = [process.env.NEARFIELD_FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'];
    const executablePath = candidates.find((path) => path && existsSync(path));
    if (executablePath === undefined) return undefined;
    const browser = await puppeteer.launch({
      browser: 'firefox',
      executablePath,
      userDataDir: await temporaryFolder(test),
    });
    test.after(() => browser.close());
    return browser;
  },
};

/** Serves the project's files, and `extra` as { '/path': text }; answers its address. */
export async function serveProject(test, extra = {}) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const given = pathname === '/' ? '<!doctype html><title>storage</title>' : extra[pathname];
    const path = normalize(join(project, pathname));
    try {
      const body = given ?? (await readFile(path.startsWith(project) ? path : ''));
      response.writeHead(200, { 'content-type': types[extname(pathname)] ?? 'text/html' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://localhost:${server.address().port}`;
}

/** An empty page of a server over the project's files. */
export async function servePage(test, browser, extra) {
  const page = await browser.newPage();
  await page.goto(`${await serveProject(test, extra)}/`);
  return page;
}

/**
 * A worker of the page as { run(task, argument), terminate() }. Tasks get `here` of task-worker.mjs and the argument;
 * they answer `{ result }`, or `{ error }` with its code.
 */
export async function startWorker(page) {
  const worker = await page.evaluateHandle(async () => {
    const worker = new Worker('/tests/browser/task-worker.mjs', { type: 'module' });
    await new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = (event) => reject(new Error(event.message));
    });
    return worker;
  });
  let tasks = 0;
  return {
    run: (task, argument) =>
      page.evaluate(
        (worker, given) =>
          new Promise((resolve) => {
            worker.addEventListener('message', function answered({ data }) {
              if (data.id !== given.id) return;
              worker.removeEventListener('message', answered);
              const { result, error } = data;
              resolve(error === undefined ? { result } : { error });
            });
            worker.postMessage(given);
          }),
        worker,
        { id: tasks++, source: String(task), argument },
      ),
    terminate: () => page.evaluate((worker) => worker.terminate(), worker),
  };
}
