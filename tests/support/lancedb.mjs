// The package that nearfield/lancedb is over, which is optional: that of the project, that in the folder LANCEDB_PACKAGE, or
// one that is installed for the tests (220 MB).
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { installed } from './installed.mjs';

const version = '0.37.1';

/** As lancedbBackend() takes them; throws where they are not there. */
async function packagesFrom(place) {
  const { resolve: find } = createRequire(place);
  const [lancedb, arrow] = ['@lancedb/lancedb', 'apache-arrow'].map((each) => pathToFileURL(find(each)).href);
  return { lancedb: await import(lancedb), arrow: await import(arrow) };
}

/** { packages }, or { skip: why }. */
export async function lancedbPackages() {
  const given = process.env.LANCEDB_PACKAGE;
  try {
    return { packages: await packagesFrom(given ? join(resolve(given), 'x.js') : import.meta.url) };
  } catch (error) {
    if (given) return { skip: `@lancedb/lancedb is not installed: ${error.message.split('\n')[0]}` };
  }
  const { folder, skip } = await installed({
    what: 'LanceDB',
    name: `lancedb-${version}`,
    needs: ['npm'],
    steps: `mkdir "$1"
cd "$1"
echo '{"private":true}' > package.json
npm install --silent --no-audit --no-fund @lancedb/lancedb@${version}`,
  });
  if (skip !== undefined) return { skip };
  try {
    return { packages: await packagesFrom(join(folder, 'x.js')) };
  } catch (error) {
    // No build for this machine.
    return { skip: `LanceDB cannot be loaded: ${error.message.split('\n')[0]}` };
  }
}
