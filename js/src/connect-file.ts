// nearfield-connect.wasm: nearfield.wasm, and what reads configurations and speaks to servers. A file of its own, so that
// who does neither does not load it.
import { engineFile } from './wasm.js';

const file = /* @__PURE__ */ engineFile(
  () => new URL('./nearfield-connect.wasm', import.meta.url),
  'serve nearfield-connect.wasm of this package there, or say where it is with the option wasm',
);

/** What instances are made of. */
export const { compiled } = file;
