// The one way this page makes elements: properties and children, where strings become text nodes. No markup is parsed.

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [properties]  `class`, `data-*`, `aria-*`, `role`, `dir` and the like are attributes, the rest properties
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) Object.assign(made, { [name]: value });
    else made.setAttribute(name === 'className' ? 'class' : name, String(value));
  }
  made.append(...children);
  return made;
}

/**
 * The element of the page with that id.
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {string} id @returns {Kind}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return /** @type {Kind} */ (found);
}

/** "1 block", "1,234 blocks". @param {number} count @param {string} one @param {string} [several] */
export const counted = (count, one, several = `${one}s`) =>
  `${count.toLocaleString('en')} ${count === 1 ? one : several}`;

/** "0.8 ms", "12 ms", "1.3 s". @param {number} milliseconds */
export function duration(milliseconds) {
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
