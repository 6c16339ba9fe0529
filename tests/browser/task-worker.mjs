// A worker that runs what it is sent: the source of a function and its argument. `here` outlives the calls.
const here = {
  nearfield: await import('/dist/index.js'),
  volumes: { ...(await import('/dist/volumes/indexeddb.js')), ...(await import('/dist/volumes/opfs.js')) },
};

self.onmessage = async ({ data: { id, source, argument } }) => {
  try {
    const task = (0, eval)(`(${source})`);
    self.postMessage({ id, result: await task(here, argument) });
  } catch (error) {
    self.postMessage({ id, error: error.code ?? String(error?.stack ?? error) });
  }
};
self.postMessage('ready');
