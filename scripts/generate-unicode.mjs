#!/usr/bin/env node
// Writes core/text/unicode_tables.inc, the character data of core/text/unicode.cpp, from what this Node knows about Unicode.
//
//   scripts/generate-unicode.mjs           write the file
//   scripts/generate-unicode.mjs --check   fail if the file is stale; says so and passes when this Node has another Unicode
//                                      version than the file, because the two cannot be compared then
//
// Imports are dynamic so that the script runs whatever module kind package.json declares.
(async () => {
  const { readFileSync, writeFileSync } = await import('node:fs');
  const path = await import('node:path');
  const file = path.resolve(path.dirname(process.argv[1]), '../core/text/unicode_tables.inc');
  const unicode = process.versions.unicode;

  // The order is that of enum CharacterClass in core/text/unicode.h. The first pattern that matches wins.
  const classes = [
    ['kControl', /^[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}]/u],
    ['kSpace', /^[\p{Zs}\p{Zl}\p{Zp}]/u],
    ['kMark', /^\p{Mn}/u],
    ['kPunctuation', /^\p{P}/u],
    ['kIdeograph', /^[\p{L}\p{N}]/u, (text, code) => isIdeograph(code)],
    [
      'kEastAsian',
      /^[\p{L}\p{N}]/u,
      (text) => /^[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Hangul}]/u.test(text),
    ],
    ['kLetter', /^[\p{L}\p{Mc}\p{Me}]/u],
    ['kDigit', /^\p{N}/u],
    ['kSymbol', /^/u],
  ];
  const ideographs = [
    [0x4e00, 0x9fff],
    [0x3400, 0x4dbf],
    [0x20000, 0x2a6df],
    [0x2a700, 0x2b73f],
    [0x2b740, 0x2b81f],
    [0x2b820, 0x2ceaf],
    [0xf900, 0xfaff],
    [0x2f800, 0x2fa1f],
  ];
  const isIdeograph = (code) => ideographs.some(([first, last]) => first <= code && code <= last);
  const isSurrogate = (code) => code >= 0xd800 && code <= 0xdfff;
  const isHangul = (code) => code >= 0xac00 && code <= 0xd7a3; // decomposed by arithmetic

  const classOf = (code) => {
    if (isSurrogate(code)) return 0;
    const text = String.fromCodePoint(code);
    return classes.findIndex(([, pattern, also]) => pattern.test(text) && (also === undefined || also(text, code)));
  };
  const withoutMarks = (text) => text.normalize('NFD').replace(/\p{Mn}/gu, '');
  const codes = (text) => [...text].map((character) => character.codePointAt(0));

  const classBytes = [];
  const foldBytes = [];
  const put = (bytes, value) => {
    for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value & 0x7f) | 0x80);
    bytes.push(value);
  };

  // Classes: runs, each (length << 4 | class).
  for (let code = 0; code <= 0x10ffff;) {
    const kind = classOf(code);
    let end = code + 1;
    while (end <= 0x10ffff && classOf(end) === kind) ++end;
    put(classBytes, (end - code) * 16 + kind);
    code = end;
  }

  // Foldings: for each character that changes (distance to the one before << 2 | upper << 1 | several), then how many
  // characters follow if several, then each as its zigzag distance to the folded character before.
  let previous = 0;
  let target = 0;
  let foldings = 0;
  for (let code = 0x80; code <= 0x10ffff; ++code) {
    if (isSurrogate(code) || isHangul(code) || classes[classOf(code)][0] === 'kMark') continue;
    const text = String.fromCodePoint(code);
    const bare = withoutMarks(text);
    const folded = bare.toLowerCase();
    if (folded === text) continue;
    const parts = codes(folded);
    put(foldBytes, (code - previous) * 4 + (folded !== bare ? 2 : 0) + (parts.length === 1 ? 0 : 1));
    if (parts.length !== 1) put(foldBytes, parts.length);
    for (const part of parts) {
      const step = part - target;
      put(foldBytes, step < 0 ? -step * 2 - 1 : step * 2);
      target = part;
    }
    previous = code;
    ++foldings;
  }

  const array = (name, bytes) => {
    const lines = [`constexpr uint8_t ${name}[] = {`];
    for (let at = 0; at < bytes.length; at += 28) lines.push(`    ${bytes.slice(at, at + 28).join(', ')},`);
    return [...lines, '};'].join('\n');
  };
  const output = [
    '// Written by scripts/generate-unicode.mjs; do not edit.',
    `// Unicode ${unicode}`,
    '// clang-format off',
    array('kClassRuns', classBytes),
    array('kFoldings', foldBytes),
    `constexpr size_t kFoldingCount = ${foldings};`,
    '// clang-format on',
    '',
  ].join('\n');

  const mode = process.argv[2];
  if (mode === undefined) {
    writeFileSync(file, output);
  } else if (mode === '--check') {
    const present = readFileSync(file, 'utf8');
    const version = /^\/\/ Unicode (.*)$/m.exec(present)?.[1];
    if (version !== undefined && version !== unicode) {
      console.log(`generate-unicode: skipped; the file has Unicode ${version}, this Node has ${unicode}.`);
    } else if (present !== output) {
      console.error('generate-unicode: core/text/unicode_tables.inc is stale; run scripts/generate-unicode.mjs.');
      process.exitCode = 1;
    }
  } else {
    console.error('usage: scripts/generate-unicode.mjs [--check]');
    process.exitCode = 2;
  }
})();
