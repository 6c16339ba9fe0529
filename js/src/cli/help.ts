// Help: what --help prints. Lines fit 80 columns.

import type { Command } from './arguments.js';

const common = `
  --db <path>       the database, a folder (.nearfield)
  --json            for programs: one JSON object a line
  --color <when>    auto, always or never; NO_COLOR and FORCE_COLOR are obeyed
  -h, --help        this text
`;

const general = `nearfield: search the spec documents of a repository, without a server.

Usage
  nearfield index <folder>...    read the markdown files below the folders
  nearfield search "<question>"  find the requirements, design sections and
                                 tasks that answer it
  nearfield get <id>...          print whole blocks
  nearfield stats                what the database holds
  nearfield backup <file>        the whole database in one checked file
  nearfield restore <file>       and back, if all of it checks out
  nearfield doctor               check every byte, say what is damaged
  nearfield config show|check    what the configuration says, and what becomes
                                 of each key of it
  nearfield migrate              all points of one configured store into another
  nearfield export <file>        a store's points as files, vectors and all
  nearfield import <file>        and back, if all of it checks out
  nearfield conformance          whether a backend does what stores must do

Flags${common}  -V, --version     the version

nearfield <command> --help tells the rest.
Exit codes: 0 found or done, 1 nothing found (doctor: damage
found, conformance: a check failed), 2 bad usage
or input, 3 the store failed, or a file is damaged.
`;

const topics: Record<Command, string> = {
  index: `nearfield index <folder>...

Makes the database mirror the markdown files (*.md, *.markdown) below the
folders: new and changed files are read, unchanged ones skipped, and files that
are gone are removed. node_modules and hidden folders are left out, except
.kiro, .specify, .claude, .cursor and .github. With several folders, sources
begin with the folder's name. Ctrl-C stops after the current step and keeps
what is done.

Flags${common}
Example
  nearfield index .
`,
  search: `nearfield search "<question>"

Prints the blocks that answer the question best, with file:line and the words
that matched. Blocks are compared by meaning and by words; both count unless
--mode says otherwise.

Flags
  -k, --k <n>       how many hits, 1 to 10000 (10)
  --offset <n>      skip the first n hits (0)
  --filter <json>   only blocks that match, such as '{"type":"task"}'
  --mode <mode>     auto, hybrid, dense (meaning only) or text (words only)
  --alpha <x>       how much meaning counts in hybrid mode, 0 to 1 (0.35)
  --full            whole blocks in place of snippets
  --explain         how the search went, and each side's score and rank${common}
Fields for --filter: type (requirement, design, task, decision, knowledge, md),
status (todo, in_progress, done, active), source, title, feature, tags, links,
lines, pinned.

Examples
  nearfield search "how are uploads retried"
  nearfield search logging -k 5 --filter '{"status":{"$in":["todo"]}}'
`,
  get: `nearfield get <id>...

Prints whole blocks by the ids that search prints. Exits with 1 if one of them
is not in the database.

Flags${common}
Example
  nearfield get 0f3a9c41d2b87e65
`,
  stats: `nearfield stats

Prints how many documents and blocks the database holds, of which types,
states and features, and how large it is.

Flags${common}`,
  backup: `nearfield backup <file>

Writes the whole database, as it is now, into one file, also while another
process writes to it. The file appears under its name only once it is whole and
on the disk; what stood there before is replaced. - writes to the standard
output.

Flags${common}
Example
  nearfield backup notes.backup
`,
  restore: `nearfield restore <file>

Replaces everything in the database by what a backup holds. All of it is read
and checked first; a file that is damaged, cut or of a newer version changes
nothing. - reads from the standard input.

Flags${common}
Example
  nearfield restore notes.backup --db .nearfield
`,
  config: `nearfield config show|check

show prints the merged configuration, with the file and line, or variable, that
each value comes from. check says of each key what it does on the backend that
the configuration chooses: implemented, reported (nothing happens), rejected, or
not yet supported. Secrets are never printed. Exits with 2 where something is
wrong.

Files, of which later ones win: .codeweaver.toml or .specmem.toml,
.codeweaver.<env>.toml, .codeweaver.local.toml, .codeweaver.<env>.local.toml;
JSON in place of TOML. Then CW_VECTOR_BACKEND_PROVIDER, _URL, _API_KEY,
_COLLECTION and CW_ENABLE_HYBRID_SEARCH.

Flags
  --config <file>   this file in place of those
  --env <name>      which <env> counts (NEARFIELD_ENV)
  --import <file>   a JavaScript module to load first, which registers backends
  --lenient         unknown keys are warnings
  --json            for programs: one JSON object
  --color <when>    auto, always or never; NO_COLOR and FORCE_COLOR are obeyed
  -h, --help        this text

Examples
  nearfield config check --env prod
  nearfield config show --config .codeweaver.toml --json
`,
  migrate: `nearfield migrate --from <config> --to <config>

Copies all points of the store that one configuration file describes into that
of another: embedded, Qdrant, Chroma, Weaviate or a backend of your own. Vectors
and payloads stay what they are; nothing is embedded again. Points of the same
ids are replaced, others stay. In the end both are compared: how many there are,
200 points, and exact searches. Exits with 1 where points could not be written
or something differs.

A run that was killed or stopped goes on where it was when the same command is
given again: a journal beside the target says how far it came, and is removed at
the end. What changed in the source between the two may be left out. A
dimension, metric or model that differs is refused at once.

Flags
  --from <config>   the store to read, a configuration file
  --to <config>     the store to write
  --import <file>   a JavaScript module to load first, which registers backends
  --env <name>      as for nearfield config; variables that begin with CW_
                    do not count, as they would say the same of both
  --batch <n>       points of a batch, 1 to 10000 (1000)
  --dry-run         say what would happen, write nothing
  --journal <file>  where to keep how far it is
  --json            for programs: one JSON object
  --color <when>    auto, always or never; NO_COLOR and FORCE_COLOR are obeyed
  -h, --help        this text

Example
  nearfield migrate --from local.toml --to cloud.toml --dry-run
  nearfield migrate --from lance.toml --to cloud.toml --import ./lance.mjs
`,
  export: `nearfield export <file>

Writes all points of a configured store. The file's ending says how, or
--format:
  jsonl   JSON Lines: a header with model, dimension and metric, then a point
          a line, with its vector; - is the standard output
  npy     vectors as a NumPy array, the rest as .jsonl beside it
  fvecs   vectors as benchmarks have them, the rest as .jsonl beside it
  blocks  (.json) the blocks of the specs in --db as published JSON, without
          vectors; import embeds them again
Files appear under their names once they are whole and on the disk, and replace
what stood there; beside a .npy or .fvecs only what belongs to such an export.

Flags
  --config <file>   the store's configuration (as nearfield config finds it)
  --env <name>      as for nearfield config
  --import <file>   a JavaScript module to load first, which registers backends
  --format <name>   jsonl, npy, fvecs or blocks (by the ending)
  --batch <n>       points of a batch, 1 to 10000 (1000)${common}
Examples
  nearfield export notes.jsonl --config .codeweaver.toml
  nearfield export specs.json --db .nearfield
`,
  import: `nearfield import <file>

Writes what nearfield export wrote into a configured store; points of the same
ids are replaced. Files are looked through first, and nothing is written if
anything is wrong with them; a pipe (-) is written batch by batch. Without a
.jsonl beside them, the rows of .npy and .fvecs get their numbers as ids.
A dimension, metric or model that differs is refused.

Flags
  --config <file>   the store's configuration (as nearfield config finds it)
  --env <name>      as for nearfield config
  --import <file>   a JavaScript module to load first, which registers backends
  --format <name>   jsonl, npy, fvecs or blocks (by the ending)
  --batch <n>       points of a batch, 1 to 10000 (1000)
  --dry-run         look through the files, write nothing${common}
Examples
  nearfield import notes.jsonl --config cloud.toml
  nearfield import specs.json --db .nearfield
`,
  conformance: `nearfield conformance --backend <name> | --config <file>

Runs some fifty checks against a store, in a collection of their own that is
dropped in the end: ids, payloads, vectors, filters, searches against plain
loops, scrolling, refusals. What the store says it cannot do is skipped, with
its words. Exits with 1 if a check failed.

Without --config the usual files and variables count, see nearfield config.
--backend wins over what they say. A backend of your own is registered by a
module: it calls registerBackend() of nearfield.

Flags
  --backend <name>  qdrant, chroma, weaviate, memory, ... or a registered name
  --config <file>   this file in place of the usual ones
  --env <name>      which <env> counts (NEARFIELD_ENV)
  --import <file>   a JavaScript module to load first, which registers it
  --only <text>     only checks with this in their names
  --seed <n>        of everything random (1)
  --patience <n>    seconds a check may take (120)
  --json            for programs: one JSON object a check, and one in the end
  --color <when>    auto, always or never; NO_COLOR and FORCE_COLOR are obeyed
  -h, --help        this text

Examples
  nearfield conformance --backend qdrant
  nearfield conformance --backend mystore --import ./mystore.mjs --only filters
`,
  doctor: `nearfield doctor

Reads every byte of the database and says of each file whether it is sound,
damaged, missing, left over from a crash (orphan, unfinished: harmless) or not
ours (foreign), and what opening would find. Works on databases that cannot be
opened. Exits with 1 if something is damaged; with --repair, if it was not
repaired or something was lost.

Flags
  --repair          publish what can be rescued as a new generation; no file is
                    changed or removed${common}
Example
  nearfield doctor --repair
`,
};

export function helpText(topic?: Command): string {
  return topic === undefined ? general : topics[topic];
}
