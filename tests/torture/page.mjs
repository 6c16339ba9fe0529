// The page under attack, also as a worker: opens a database, says what it finds, and writes until it is killed.
// Its address says how: ?session=&path=&storage=&seed=&count=[&early].
import { open } from '/dist/index.js';
import { dump, run } from './script.mjs';

const parameters = new URLSearchParams(location.search);
const session = parameters.get('session');

// What is said goes on its way even when the page is killed right after; the last words may get lost all the same.
const say = (line, keepalive = true) => fetch(`/say?session=${session}`, { method: 'POST', body: line, keepalive });

async function start() {
  for (let round = 0; ; round++) {
    try {
      return await open({ path: parameters.get('path'), storage: parameters.get('storage') });
    } catch (error) {
      // A browser takes a moment to notice that the last writer is gone.
      if (error.code !== 'DatabaseLocked' || round === 400) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function write() {
  await say('ready');
  const place = { db: await start(), collections: new Map() };
  const found = await dump(place.db);
  await say(`found ${JSON.stringify({ found, recovery: (await place.db.info()).recovery })}`, false);
  await run(Number(parameters.get('seed')), place, start, {
    more: (index) => index < Number(parameters.get('count')),
    issued: () => {},
    acknowledged: (index, relaxed) => void say(`ack ${index} ${relaxed ? 'relaxed' : 'strict'}`).catch(() => {}),
    early: parameters.has('early'),
  });
  await place.db.close();
  await say('end');
}

if (parameters.has('worker') && typeof document !== 'undefined') {
  const worker = new Worker(new URL(`./page.mjs${location.search}`, import.meta.url), { type: 'module' });
  worker.onerror = ({ message }) => say(`trouble the worker failed: ${message}`);
} else {
  write().catch((error) => say(`trouble ${error.code ?? ''} ${error.stack ?? error}`));
}
