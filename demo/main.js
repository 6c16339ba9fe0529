// The page: keeps what is shown, the address and the open library in step.
import { droppedFolders, pickedFolders } from './files.js';
import { presentChoices, showChips } from './filters.js';
import { byId, counted, duration, element } from './dom.js';
import { Libraries } from './libraries.js';
import { hitElement, statusNames, typeNames } from './results.js';
import { blockStatuses, blockTypes, filterOf, readState, samplesId, writeState } from './state.js';

const pageSize = 20;
// About two frames: fast typing asks once, a pause is answered at once.
const typingPause = 30;
const examples = [
  'what happens when the endpoint has no capacity left',
  'what if one trade order of a batch fails',
  'make the application start faster',
  'fair pairing of players over the season',
  'which tests check that data survives an export and import',
  'change the order of albums by dragging',
];

const query = /** @type {HTMLInputElement} */ (byId('query'));
const finder = /** @type {HTMLFormElement} */ (byId('finder'));
const filters = byId('filters');
const hitList = byId('hits');
const count = byId('count');
const more = byId('more');
const errorBox = byId('error');
const welcome = byId('welcome');

const libraries = new Libraries();
let state = readState(location.hash);
/** @type {import('./libraries.js').Opened | undefined} */
let opened;
let latestSearch = 0;
let latestOpen = 0;
let shown = 0;
let bestScore = 0;
/** @type {AbortController | undefined} */
let searching;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let typing;

// Errors

/** @param {unknown} error @param {{ label: string, act: () => void }[]} ways  what the user can do about it */
function showError(error, ways = []) {
  const { code, name, message } = /** @type {{ code?: string, name?: string, message?: string }} */ (error ?? {});
  errorBox.replaceChildren(
    element(
      'p',
      {},
      element('strong', {}, String(code ?? name ?? 'Error')),
      ' ',
      element('span', { dir: 'auto' }, message || String(error)),
    ),
    element(
      'p',
      { class: 'ways' },
      ...ways.map(({ label, act }) => {
        const button = element('button', { type: 'button', class: 'plain' }, label);
        button.addEventListener('click', () => {
          errorBox.hidden = true;
          act();
        });
        return button;
      }),
    ),
  );
  errorBox.hidden = false;
}

/** Whether a newer search or another library took over; nothing to tell anyone. @param {unknown} error */
const isCancelled = (error) => ['Aborted', 'Closed'].includes(/** @type {{ code?: string }} */ (error)?.code ?? '');

// Opening and indexing

/** @param {string} text @param {number} [share]  from 0 to 1; without it the bar only says that something goes on */
function showProgressText(text, share) {
  byId('progress').hidden = false;
  byId('progress-text').textContent = text;
  const bar = /** @type {HTMLProgressElement} */ (byId('progress-bar'));
  if (share === undefined) bar.removeAttribute('value');
  else bar.value = share;
}

/** @param {import('./libraries.js').Progress} progress */
function showProgress({ phase, files, filesTotal, blocks, bytes, bytesTotal }) {
  if (phase === 'read') showProgressText(`Indexing ${counted(filesTotal, 'file')}`);
  else
    showProgressText(
      `Indexing ${files.toLocaleString('en')} of ${counted(filesTotal, 'file')}, ${counted(blocks, 'block')} so far`,
      bytesTotal ? bytes / bytesTotal : 1,
    );
}

/**
 * Runs an operation that ends with a library open, and shows it. Answers what went wrong, if something did.
 * @param {() => Promise<import('./libraries.js').Opened>} operation
 */
async function show(operation) {
  const turn = ++latestOpen;
  latestSearch++;
  searching?.abort();
  document.body.setAttribute('aria-busy', 'true');
  errorBox.hidden = true;
  welcome.hidden = true;
  // What is stored opens before anyone would have read this.
  const slow = setTimeout(() => {
    if (byId('progress').hidden) showProgressText('Fetching the engine and the specs');
  }, 250);
  try {
    const result = await operation();
    if (turn !== latestOpen) return undefined;
    clearTimeout(slow);
    byId('progress').hidden = true;
    opened = result;
    state.library = opened.library.id;
    if (state.library !== samplesId) state.corpora = [];
    saveState();
    byId('opened').textContent = openedReport(opened);
    document.body.dataset.opened = opened.indexed ? 'indexed' : 'stored';
    showCredits();
    await search();
    // Loads the embedding table now: the first question is fast, and needs no network.
    await opened.specs.search('warm up', { k: 1 });
    return undefined;
  } catch (error) {
    return turn !== latestOpen || isCancelled(error) ? undefined : error;
  } finally {
    clearTimeout(slow);
    if (turn === latestOpen) {
      byId('progress').hidden = true;
      showLibraries();
      document.body.removeAttribute('aria-busy');
      document.body.dataset.ready = state.library;
    }
  }
}

/** @param {import('./libraries.js').Opened} opened */
function openedReport({ indexed, info, readOnly, milliseconds }) {
  const time = duration(milliseconds);
  if (!indexed)
    return `Opened ${counted(info.blocks, 'block')} from this browser in ${time}${readOnly ? ', to read only: another tab writes to them' : ''}`;
  const { filesIndexed, filesUnchanged, filesRemoved } = indexed;
  const parts = [
    `Indexed ${counted(info.blocks, 'block')} from ${counted(filesIndexed + filesUnchanged, 'file')} in ${time}`,
  ];
  if (filesUnchanged) parts.push(`${filesUnchanged.toLocaleString('en')} unchanged`);
  if (filesRemoved) parts.push(`${filesRemoved.toLocaleString('en')} removed`);
  return parts.join(', ');
}

/** @param {string} id @returns {Promise<void>} */
async function openLibrary(id) {
  const error = await show(() => libraries.open(id, showProgress));
  if (error) {
    const ways = [{ label: 'Try again', act: () => void openLibrary(id) }];
    // Only what cannot be read any more is offered for deletion.
    if (
      ['StorageCorrupt', 'FormatError', 'VersionError', 'SchemaMismatch'].includes(
        /** @type {{ code?: string }} */ (error).code ?? '',
      )
    ) {
      ways.push({
        label: 'Delete what is stored and start over',
        act: () => void libraries.remove(id).then(() => openLibrary(samplesId), showError),
      });
    }
    showError(error, ways);
  } else if (!libraries.list().some((library) => library.id === id)) {
    showError({
      name: 'Not in this browser',
      message: 'The address names a folder that was not indexed here; these are the bundled samples.',
    });
  }
}

/** @param {import('./files.js').Folder[]} folders */
async function addFolders(folders) {
  for (const folder of folders) {
    if (!folder.files.length) {
      showError({
        name: 'Nothing to index',
        message: folder.leftOut[0] ?? `“${folder.name}” holds no markdown files (.md, .markdown).`,
      });
      continue;
    }
    const before = state;
    state = { ...state, types: [], statuses: [], corpora: [] };
    const error = await show(() => libraries.add(folder, showProgress));
    if (error) {
      state = before;
      await openLibrary(before.library);
      showError(error);
    } else if (folder.leftOut.length) {
      const rest = folder.leftOut.length - 5;
      showError({
        name: 'Left out',
        message: `${folder.leftOut.slice(0, 5).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}.`,
      });
    }
  }
}

// Searching

async function search() {
  clearTimeout(typing);
  if (!opened) return;
  const turn = ++latestSearch;
  searching?.abort();
  const question = state.query.trim();
  showFilters();
  if (!question) {
    showHits([], 0);
    count.textContent = '';
    showWelcome();
    return;
  }
  welcome.hidden = true;
  searching = new AbortController();
  const begun = performance.now();
  try {
    const hits = await ask(question, 0, searching.signal);
    if (turn !== latestSearch) return;
    const taken = performance.now() - begun;
    errorBox.hidden = true;
    showHits(hits, 0);
    const total = hits.length < pageSize ? counted(hits.length, 'result') : `Best ${pageSize}`;
    count.textContent = hits.length ? `${total} in ${duration(taken)}` : 'Nothing found';
    if (!hits.length) showNothing(question);
  } catch (error) {
    if (turn === latestSearch && !isCancelled(error))
      showError(error, [{ label: 'Try again', act: () => void search() }]);
  }
}

/** @param {string} question @param {number} offset @param {AbortSignal} [signal] @returns {Promise<import('./results.js').Hit[]>} */
async function ask(question, offset, signal) {
  if (!opened) return [];
  return opened.specs.search(question, {
    k: pageSize,
    offset,
    mode: state.mode,
    filter: filterOf(state),
    highlight: true,
    signal,
  });
}

/** Replaces the list, or from an offset on adds to it. @param {import('./results.js').Hit[]} hits @param {number} offset */
function showHits(hits, offset) {
  if (!offset) {
    hitList.replaceChildren();
    bestScore = hits[0]?.score ?? 0;
  }
  if (opened) for (const hit of hits) hitList.append(hitElement(hit, { best: bestScore, reader: opened.specs }));
  shown = offset + hits.length;
  more.hidden = hits.length < pageSize;
}

/** The buttons that open and close the hits. */
const titles = () => /** @type {HTMLElement[]} */ ([...hitList.querySelectorAll('.title')]);

function showWelcome() {
  if (!opened) return;
  const { library, info } = opened;
  const isSamples = library.id === samplesId;
  welcome.replaceChildren(
    element(
      'p',
      { class: 'lead' },
      isSamples
        ? `${counted(info.blocks, 'block')} from ${counted(libraries.corpora.length, 'repository', 'repositories')}: requirements, designs, tasks and notes, indexed and searched inside this page.`
        : `${counted(info.blocks, 'block')} from ${library.name}, indexed and searched inside this page.`,
    ),
    ...(isSamples
      ? [
          element('h2', {}, 'Ask, for example'),
          element(
            'ul',
            {},
            ...examples.map((example) => {
              const button = element('button', { type: 'button', class: 'example' }, example);
              button.addEventListener('click', () => {
                query.value = example;
                change({ query: example });
                query.focus();
              });
              return element('li', {}, button);
            }),
          ),
        ]
      : []),
  );
  welcome.hidden = false;
}

/** @param {string} question */
function showNothing(question) {
  const filtered = filterOf(state) !== undefined;
  welcome.replaceChildren(
    element(
      'p',
      { class: 'lead' },
      'Nothing matches “',
      element('bdi', {}, question),
      `”${filtered ? ' under these filters' : ''}.`,
    ),
    element(
      'p',
      {},
      filtered
        ? 'Clear the filters to search everything.'
        : state.mode === 'text'
          ? 'Searching by meaning also finds other words for the same thing.'
          : 'Try other words.',
    ),
  );
  welcome.hidden = false;
}

// Filters

function showFilters() {
  if (opened) {
    const { types, statuses } = opened.info;
    const names = state.library === samplesId ? libraries.corpora.map(({ name }) => name) : [];
    showChips('types', presentChoices(blockTypes, types, typeNames), state.types, (chosen) =>
      change({ types: chosen }),
    );
    showChips('statuses', presentChoices(blockStatuses, statuses, statusNames), state.statuses, (chosen) =>
      change({ statuses: chosen }),
    );
    showChips(
      'corpora',
      names.map((name) => ({ name, label: name })),
      state.corpora,
      (chosen) => change({ corpora: chosen }),
    );
  }
  const active = state.types.length + state.statuses.length + state.corpora.length;
  byId('reset').hidden = !active;
  byId('filters-toggle').textContent = active ? `Filters (${active})` : 'Filters';
  for (const radio of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll('input[name=mode]')))
    radio.checked = radio.value === state.mode;
}

function showLibraries() {
  const list = /** @type {HTMLElement} */ (byId('libraries').querySelector('.choices'));
  list.replaceChildren(
    ...libraries.list().map(({ id, name }) => {
      const radio = element('input', { type: 'radio', name: 'library', value: id, checked: id === state.library });
      radio.addEventListener('change', () => {
        state = { ...state, types: [], statuses: [], corpora: [] };
        void openLibrary(id);
      });
      const row = element('div', { class: 'library' }, element('label', {}, radio, element('bdi', {}, name)));
      if (id !== samplesId) {
        const remove = element(
          'button',
          {
            type: 'button',
            class: 'remove',
            'aria-label': `Remove ${name} from this browser`,
            title: 'Remove from this browser',
          },
          '×',
        );
        remove.addEventListener('click', async () => {
          try {
            await libraries.remove(id);
            if (state.library === id) await openLibrary(samplesId);
            else showLibraries();
            byId('add-folder').focus();
          } catch (error) {
            showError(error);
          }
        });
        row.append(remove);
      }
      return row;
    }),
  );
}

function showCredits() {
  byId('credits').replaceChildren(
    'Bundled specs: ',
    ...libraries.corpora.flatMap(({ name, repository, licence, notices }, i) => [
      i ? ', ' : '',
      element('a', { href: repository }, name),
      ' (',
      element('a', { href: notices.find((path) => path.endsWith('/LICENSE.txt')) ?? repository }, licence),
      ')',
    ]),
  );
}

// The address

function saveState() {
  const hash = writeState(state);
  if (hash !== location.hash) history.replaceState(null, '', hash || location.pathname + location.search);
}

/** @param {Partial<import('./state.js').State>} changed */
function change(changed) {
  state = { ...state, ...changed };
  saveState();
  void search();
}

addEventListener('hashchange', () => {
  const { library } = state;
  state = readState(location.hash);
  query.value = state.query;
  if (state.library !== library) void openLibrary(state.library);
  else void search();
});

// Hands on the page

query.addEventListener('input', () => {
  state.query = query.value;
  clearTimeout(typing);
  typing = setTimeout(() => change({}), typingPause);
});
finder.addEventListener('submit', (event) => {
  event.preventDefault();
  change({ query: query.value });
});
byId('modes').addEventListener('change', (event) =>
  change({ mode: /** @type {import('./state.js').Mode} */ (/** @type {HTMLInputElement} */ (event.target).value) }),
);
byId('reset').addEventListener('click', () => {
  change({ types: [], statuses: [], corpora: [] });
  query.focus();
});
byId('filters-toggle').addEventListener('click', () => {
  const open = filters.classList.toggle('open');
  byId('filters-toggle').setAttribute('aria-expanded', String(open));
});
more.addEventListener('click', async () => {
  const turn = latestSearch;
  const offset = shown;
  try {
    const hits = await ask(state.query.trim(), offset);
    if (turn !== latestSearch) return;
    showHits(hits, offset);
    count.textContent = more.hidden ? counted(shown, 'result') : `Best ${shown}`;
    titles()[offset]?.focus();
  } catch (error) {
    if (!isCancelled(error)) showError(error);
  }
});

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const target = /** @type {HTMLElement} */ (event.target);
  const isTyping = target.matches('input:not([type=radio], [type=checkbox]), textarea');
  if (event.key === '/' && !isTyping) {
    event.preventDefault();
    query.focus();
    query.select();
  } else if (event.key === 'Escape') {
    query.value = '';
    change({ query: '' });
    query.focus();
  } else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && !target.matches('input[type=radio], .whole')) {
    const all = titles();
    const at = all.findIndex((title) => title.closest('.hit')?.contains(target));
    const next = event.key === 'ArrowDown' ? at + 1 : at - 1;
    if (!all.length || (at < 0 && (event.key === 'ArrowUp' || target !== query))) return;
    event.preventDefault();
    if (next < 0) query.focus();
    else all[Math.min(next, all.length - 1)]?.focus();
  }
});

const folderInput = /** @type {HTMLInputElement} */ (byId('folder'));
byId('add-folder').addEventListener('click', () => folderInput.click());
folderInput.addEventListener('change', () => {
  try {
    void addFolders(pickedFolders(folderInput.files ?? []));
  } catch (error) {
    showError(error);
  }
  // So that picking the same folder again is a change again.
  folderInput.value = '';
});

const dropTarget = byId('drop-target');
const carriesFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
addEventListener('dragover', (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  dropTarget.hidden = false;
});
addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) dropTarget.hidden = true;
});
addEventListener('drop', (event) => {
  if (!carriesFiles(event) || !event.dataTransfer) return;
  event.preventDefault();
  dropTarget.hidden = true;
  droppedFolders(event.dataTransfer).then(addFolders, showError);
});

const themes = byId('themes');
for (const radio of themes.querySelectorAll('input'))
  radio.checked = radio.value === (document.documentElement.dataset.theme ?? '');
themes.addEventListener('change', (event) => {
  const { value } = /** @type {HTMLInputElement} */ (event.target);
  if (value) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
  try {
    if (value) localStorage.setItem('nearfield-theme', value);
    else localStorage.removeItem('nearfield-theme');
  } catch {
    // The choice then lasts as long as the page.
  }
});

query.value = state.query;
showLibraries();
void openLibrary(state.library);
