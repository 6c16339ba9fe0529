// Attack: a page that writes is killed, with its renderer, its browser, or only by being closed or left, and the next
// page of the same profile looks at what is left.
import { createServer } from 'node:http';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { killBrowser, launchBrowser } from './browsers.mjs';
import { Ledger, Violation } from './ledger.mjs';
import { mix, random } from './script.mjs';

const project = join(import.meta.dirname, '../..');
const types = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** A kill on one profile follows this many others at most, before a new profile is taken. */
const chainLength = 25;
/** A page does no more than this; it is killed long before. */
const operations = 600;
/** A page that says nothing for so long hangs, which is a violation. */
const silenceMs = 120_000;

/** Serves the package and the page, and hands what pages say to `heard(session, line)`. */
async function serve(heard) {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    if (request.method === 'POST') {
      let body = '';
      request.setEncoding('utf8').on('data', (text) => (body += text));
      request.on('end', () => {
        heard(searchParams.get('session'), body);
        response.writeHead(204).end();
      });
      return;
    }
    const headers = { 'Content-Type': types[extname(pathname)] ?? 'text/html', 'Cache-Control': 'no-store' };
    if (pathname === '/' || pathname === '/elsewhere') {
      const module = pathname === '/' ? '<script type="module" src="/torture/page.mjs"></script>' : '';
      // The page's own parameters are the module's.
      response.writeHead(200, headers).end(`<!doctype html><link rel="icon" href="data:,">${module}`);
      return;
    }
    const inside = normalize(pathname).replace(/^\/torture\//, '/tests/torture/');
    if (!/^\/(dist|tests\/torture)\//.test(inside)) {
      response.writeHead(404).end();
      return;
    }
    createReadStream(join(project, inside))
      .once('open', () => response.writeHead(200, headers))
      .once('error', () => response.writeHead(404).end())
      .pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { base: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** One profile of a browser, a database in it, and the ledger over that. */
class Victim {
  ledger = new Ledger({ relaxedMayGo: true });
  #kind;
  #storage;
  #profile;
  #browser;
  #server;
  #session = 0;
  #heard = () => {};

  constructor(kind, storage, profile) {
    this.#kind = kind;
    this.#storage = storage;
    this.#profile = profile;
  }

  async start() {
    this.#server = await serve((session, line) => {
      if (session === `${this.#session}`) this.#heard(line);
    });
  }

  async stop() {
    if (this.#browser !== undefined) await killBrowser(this.#browser).catch(() => {});
    this.#server?.close();
  }

  /**
   * Opens a page that runs the script of `seed`, and ends it in the way called `how` after it was heard `lines` times
   * and then `delayMs` more. With `how` undefined, it may end by itself.
   */
  async run({ seed, count = operations, how, lines = 0, delayMs = 0, early = false }) {
    this.#browser ??= await launchBrowser(this.#kind, this.#profile);
    const session = `${++this.#session}`;
    let end;
    let fail;
    const over = new Promise((resolve, reject) => {
      end = resolve;
      fail = reject;
    });
    over.catch(() => {});
    let silence;
    const listen = () => {
      clearTimeout(silence);
      silence = setTimeout(() => fail(new Violation('the page hangs')), silenceMs);
    };
    let left = lines;
    listen();
    this.#heard = (line) => {
      listen();
      const [word, index, durability] = line.split(' ', 3);
      try {
        if (word === 'ack') this.ledger.acknowledge(Number(index), durability === 'relaxed');
        if (word === 'trouble') throw new Violation(`the page failed: ${line.slice('trouble '.length)}`);
        if (word === 'found') {
          this.ledger.check(JSON.parse(line.slice('found '.length)));
          this.ledger.begin(seed, count);
        }
      } catch (error) {
        fail(error);
      }
      if (word === 'end') end();
      if (how !== undefined && left-- === 0) setTimeout(end, delayMs);
    };
    const page = await this.#browser.newPage();
    try {
      const query = new URLSearchParams({ session, seed, count, path: 'torture', storage: this.#storage });
      if (this.#storage === 'opfs') query.set('worker', '');
      if (early) query.set('early', '');
      // A page whose browser is killed while it loads has nothing to answer.
      page.goto(`${this.#server.base}/?${query}`).catch(() => {});
      await over;
      await this.#end(page, how);
    } finally {
      clearTimeout(silence);
      this.#heard = () => {};
    }
  }

  async #end(page, how) {
    switch (how) {
      case 'browser':
        await killBrowser(this.#browser);
        this.#browser = undefined;
        return;
      case 'renderer': {
        const crashed = new Promise((resolve) => page.once('error', resolve));
        const session = await page.createCDPSession();
        session.send('Page.crash').catch(() => {});
        await crashed;
        await page.close().catch(() => {});
        return;
      }
      case 'navigate':
        await page.goto(`${this.#server.base}/elsewhere`);
        await page.close();
        return;
      default:
        await page.close();
    }
  }
}

/** How pages end, in turn. A browser that is not driven by Chromium's protocol only knows some of them. */
const ways = { chromium: ['renderer', 'browser', 'renderer', 'close', 'renderer', 'navigate'], firefox: ['browser'] };

/**
 * Kills number `from` to `from + count` of `seed` in 'chromium' or 'firefox'. Calls `done(number, how)` after each;
 * stops when `more()` is false. Throws Violation, with `from`, where its chain of kills began; `keep` leaves the profile
 * for a look. Answers { relaxedLost }.
 */
export async function killBrowsers({
  kind,
  storage = 'indexeddb',
  seed,
  from,
  count,
  more = () => true,
  done = () => {},
  early = false,
  keep = false,
}) {
  let relaxedLost = 0;
  let number = from;
  while (number < from + count && more()) {
    const first = number;
    const profile = await mkdtemp(join(tmpdir(), 'nearfield-torture-'));
    const victim = new Victim(kind, storage, profile);
    let kept = false;
    try {
      await victim.start();
      do {
        const next = random(mix(seed, number));
        const how = ways[kind][number % ways[kind].length];
        // One in eight while it opens, the others while it writes.
        const lines = next() < 0.125 ? 0 : 2 + Math.floor(next() * 40);
        await victim.run({ seed: mix(seed, number, 7), how, lines, delayMs: next() * 60, early });
        done(number++, how);
      } while (number < from + count && number % chainLength !== 0 && more());
      // What the last kill left, and once more after a writer that came to its end.
      await victim.run({ seed: 0, count: 3 });
      await victim.run({ seed: 0, count: 0 });
    } catch (error) {
      kept = keep;
      if (keep) error.message += ` (kept in ${profile})`;
      throw Object.assign(error, { from: first });
    } finally {
      relaxedLost += victim.ledger.relaxedLost;
      await victim.stop();
      if (!kept) await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  }
  return { relaxedLost };
}
