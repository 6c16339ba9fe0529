// What the page shows, as the address says it: `#q=retries&mode=text&type=task,design&in=folder-1`.
//
// The address is the only memory of a search, so a reload or a link shows the same one. Whatever an address holds that
// this page does not know is dropped.

/** @typedef {'hybrid' | 'text' | 'dense'} Mode */
/**
 * @typedef {object} State
 * @property {string} query
 * @property {Mode} mode
 * @property {string} library  id of the library that is searched
 * @property {string[]} types
 * @property {string[]} statuses
 * @property {string[]} corpora  names of bundled repositories
 */

/** The types of blocks and the statuses of tasks, in the order they are shown (core/spec/block.h). */
export const blockTypes = ['requirement', 'design', 'task', 'decision', 'knowledge', 'md'];
export const blockStatuses = ['todo', 'in_progress', 'done'];
export const samplesId = 'samples';

/** @type {Mode[]} */
const modes = ['hybrid', 'text', 'dense'];

/** @param {string} hash  location.hash @returns {State} */
export function readState(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const list = (/** @type {string} */ name) => (fields.get(name) ?? '').split(',').filter(Boolean);
  const mode = /** @type {Mode} */ (fields.get('mode'));
  return {
    query: fields.get('q') ?? '',
    mode: modes.includes(mode) ? mode : 'hybrid',
    library: fields.get('in') || samplesId,
    types: blockTypes.filter((type) => list('type').includes(type)),
    statuses: blockStatuses.filter((status) => list('status').includes(status)),
    corpora: list('corpus'),
  };
}

/** The inverse; '' for the state the page starts in. @param {State} state */
export function writeState(state) {
  const fields = new URLSearchParams();
  if (state.query) fields.set('q', state.query);
  if (state.mode !== 'hybrid') fields.set('mode', state.mode);
  if (state.library !== samplesId) fields.set('in', state.library);
  if (state.types.length) fields.set('type', state.types.join(','));
  if (state.statuses.length) fields.set('status', state.statuses.join(','));
  if (state.corpora.length) fields.set('corpus', state.corpora.join(','));
  const text = fields.toString().replaceAll('%2C', ',');
  return text && `#${text}`;
}

/** The state's filters in the engine's grammar; undefined where nothing is filtered. @param {State} state */
export function filterOf({ types, statuses, corpora }) {
  const clauses = [];
  if (types.length) clauses.push({ type: { $in: types } });
  if (statuses.length) clauses.push({ status: { $in: statuses } });
  // The bundled files carry their repository as the first folder of their path.
  if (corpora.length) clauses.push({ $or: corpora.map((name) => ({ source: { $contains: `${name}/` } })) });
  return clauses.length ? { $and: clauses } : undefined;
}
