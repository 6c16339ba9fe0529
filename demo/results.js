// Hits as a list: collapsed to title, place and snippet; one step further the whole block, its links and its scores.
//
// Everything a document says is put into text nodes.
import { counted, element } from './dom.js';
import { joined, markedPieces, snippet } from './snippet.js';

/** @typedef {{ type: string, source: string, lines: [number, number], title: string, feature: string, status: string, tags: string[], links: string[], pinned: boolean }} Payload */
/** @typedef {{ id: string, score: number, text: string, payload: Payload, parts?: Record<string, { score: number, rank: number } | undefined>, highlights?: [number, number][] }} Hit */
/** @typedef {{ get(ids: string[]): Promise<{ id: string, text: string, payload: Payload }[]> }} Reader */

/** @type {Record<string, string>} */
const partNames = { text: 'words', dense: 'meaning' };
/** @type {Record<string, string>} */
export const statusNames = { todo: 'to do', in_progress: 'in progress', done: 'done', active: 'active' };
/** @type {Record<string, string>} */
export const typeNames = { md: 'text' };

const maximumLinksShown = 12;
// A browser takes seconds to lay out a megabyte of text; whoever wants to see it can ask.
const maximumTextShown = 40_000;

/** `source:first-last`. @param {Payload} payload */
export const placeOf = ({ source, lines: [first, last] }) => `${source}:${first}${last > first ? `-${last}` : ''}`;

/** Text that may break after each slash, kept apart from the direction of what surrounds it. @param {string} path */
function breakable(path) {
  const steps = path.split('/');
  return element(
    'bdi',
    {},
    ...steps.flatMap((step, i) => (i + 1 < steps.length ? [`${step}/`, element('wbr')] : [step])),
  );
}

/** @param {import('./snippet.js').Piece[]} pieces */
const nodes = (pieces) => pieces.map(({ text, marked }) => (marked ? element('mark', {}, text) : text));

/**
 * What a block is called: its title; failing that its number, which its tags know; failing that its first words.
 * @param {string} text @param {Payload} payload
 */
export function nameOf(text, payload) {
  if (payload.title) return payload.title;
  const number = (/** @type {string} */ prefix) =>
    payload.tags?.find((tag) => tag.startsWith(prefix))?.slice(prefix.length);
  const requirement = number('req_');
  if (requirement !== undefined) {
    const criterion = number('ac_');
    return `Requirement ${requirement}${criterion === undefined ? '' : `, criterion ${criterion}`}`;
  }
  return joined(snippet(text, [], '', 80)) || placeOf(payload);
}

/** @param {Payload} payload */
function badges(payload) {
  const made = [element('span', { class: `type ${payload.type}` }, typeNames[payload.type] ?? payload.type)];
  // "active" is what everything but a task is; saying it each time would be noise.
  if (payload.status && payload.status !== 'active')
    made.push(element('span', { class: `status ${payload.status}` }, statusNames[payload.status] ?? payload.status));
  return made;
}

/**
 * @param {Hit} hit
 * @param {{ best: number, reader: Reader }} context  best: the score of the first hit
 */
export function hitElement(hit, { best, reader }) {
  const { payload, text, highlights = [] } = hit;
  const details = element('div', { class: 'details', id: `details-${hit.id}`, hidden: true });
  const heading = element(
    'button',
    { type: 'button', class: 'title', 'aria-expanded': 'false', 'aria-controls': details.id, dir: 'auto' },
    nameOf(text, payload),
  );
  const excerpt = element('p', { class: 'snippet', dir: 'auto' }, ...nodes(snippet(text, highlights, payload.title)));
  const item = element(
    'li',
    { class: 'hit', 'data-id': hit.id },
    element('div', { class: 'badges' }, ...badges(payload)),
    element(
      'div',
      { class: 'body' },
      element('h2', {}, heading),
      element(
        'p',
        { class: 'place' },
        ...(payload.feature ? [element('span', { class: 'feature' }, payload.feature)] : []),
        element('code', {}, breakable(placeOf(payload))),
      ),
      excerpt,
      details,
    ),
  );
  // The inked part of the rule above a hit is its score against the best one.
  item.style.setProperty('--closeness', String(best > 0 ? Math.max(0, Math.min(1, hit.score / best)) : 0));
  heading.addEventListener('click', () => {
    const open = heading.getAttribute('aria-expanded') !== 'true';
    heading.setAttribute('aria-expanded', String(open));
    details.hidden = !open;
    excerpt.hidden = open;
    if (open && !details.firstChild) fillDetails(details, hit, reader);
  });
  return item;
}

/** @param {string} text @param {[number, number][]} highlights */
function wholeText(text, highlights) {
  const shown = text.length > maximumTextShown ? text.slice(0, maximumTextShown) : text;
  const box = element(
    'div',
    { class: 'whole', dir: 'auto', tabIndex: 0, role: 'group', 'aria-label': 'Whole text' },
    ...nodes(markedPieces(shown, highlights)),
  );
  if (shown.length < text.length) {
    const rest = element(
      'button',
      { type: 'button', class: 'plain' },
      `Show ${counted(text.length - shown.length, 'more character')}`,
    );
    rest.addEventListener('click', () => box.replaceChildren(...nodes(markedPieces(text, highlights))));
    box.append('… ', rest);
  }
  return box;
}

/** @param {HTMLElement} details @param {Hit} hit @param {Reader} reader */
function fillDetails(details, hit, reader) {
  const { payload, text, highlights = [], parts } = hit;
  details.append(wholeText(text, highlights));

  const links = element('div', { class: 'links' });
  details.append(links);
  if (payload.links?.length) void fillLinks(links, payload.links, reader);

  const facts = element('dl', { class: 'facts' });
  const fact = (/** @type {string} */ name, /** @type {(Node | string)[]} */ ...value) =>
    facts.append(element('div', {}, element('dt', {}, name), element('dd', {}, ...value)));
  fact('Score', hit.score.toFixed(3));
  for (const [name, part] of Object.entries(parts ?? {})) {
    if (part) fact(partNames[name] ?? name, `${part.score.toFixed(3)}, rank ${part.rank}`);
  }
  if (payload.tags?.length) fact('Tags', payload.tags.join(', '));
  if (payload.pinned) fact('Pinned', 'yes');
  const copy = element('button', { type: 'button', class: 'plain' }, 'Copy reference');
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(placeOf(payload));
      copy.textContent = 'Copied';
    } catch {
      copy.textContent = placeOf(payload);
    }
  });
  details.append(facts, copy);
}

/** @param {HTMLElement} container @param {string[]} ids @param {Reader} reader */
async function fillLinks(container, ids, reader) {
  const blocks = await reader.get(ids.slice(0, maximumLinksShown)).catch(() => []);
  if (!blocks.length) return;
  const rest = ids.length - maximumLinksShown;
  container.append(
    element('h3', {}, 'Refers to'),
    ...blocks.map(({ text, payload }) =>
      element(
        'details',
        {},
        element(
          'summary',
          {},
          element('span', { class: `type ${payload.type}` }, typeNames[payload.type] ?? payload.type),
          ' ',
          element('bdi', {}, nameOf(text, payload)),
          ' ',
          element('code', {}, `:${payload.lines[0]}`),
        ),
        element('p', { class: 'place' }, element('code', {}, breakable(placeOf(payload)))),
        wholeText(text, []),
      ),
    ),
    ...(rest > 0 ? [element('p', {}, `and ${rest} more`)] : []),
  );
}
