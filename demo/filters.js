// Chips that narrow a search: one fieldset of checkboxes for types, statuses and repositories each.

import { byId, element } from './dom.js';

/** @typedef {{ name: string, label: string, count?: number | undefined }} Choice */

/**
 * The choices that occur, in the order of `names`.
 * @param {readonly string[]} names @param {Record<string, number>} counts @param {Record<string, string>} labels
 * @returns {Choice[]}
 */
export const presentChoices = (names, counts, labels) =>
  names
    .filter((name) => Object.hasOwn(counts, name))
    .map((name) => ({ name, label: labels[name] ?? name, count: counts[name] }));

/**
 * Fills a fieldset with chips; hides it where there is nothing to choose.
 * @param {string} id  of the fieldset
 * @param {Choice[]} choices
 * @param {string[]} chosen
 * @param {(chosen: string[]) => void} choose
 */
export function showChips(id, choices, chosen, choose) {
  const fieldset = byId(id);
  const list = /** @type {HTMLElement} */ (fieldset.querySelector('.choices'));
  fieldset.hidden = choices.length < 2 && !chosen.length;
  const key = JSON.stringify(choices);
  // Made anew only when the choices change, so that the focus stays where it is.
  if (list.dataset.key !== key) {
    list.dataset.key = key;
    list.replaceChildren(...choices.map(chip));
  }
  const boxes = [...list.querySelectorAll('input')];
  for (const box of boxes) box.checked = chosen.includes(box.value);
  list.onchange = () => choose(boxes.filter((box) => box.checked).map((box) => box.value));
}

/** @param {Choice} choice */
function chip({ name, label, count }) {
  const text = element('span', {}, label);
  if (count !== undefined) text.append(' ', element('small', {}, count.toLocaleString('en')));
  return element('label', { class: 'chip' }, element('input', { type: 'checkbox', value: name }), text);
}
