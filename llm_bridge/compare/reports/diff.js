"use strict";

/** The most steps that one comparison may take; beyond them two texts have too little in common to be worth showing. */
const MOST_STEPS = 3000;

// Pieces as `compare/words.py` cuts them: each with the space after it, which does not count as a difference.
const CJK = "\\u3005-\\u3007\\u3040-\\u30ff\\u31f0-\\u31ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\u{20000}-\\u{3ffff}";
const WORDS = new RegExp(`(?:[${CJK}]|(?:(?![${CJK}])[\\p{L}\\p{M}\\p{N}_])+|[^\\p{L}\\p{M}\\p{N}_\\s]|^\\s)\\s*`, "gu");
const LINES = /[^\n]*\n|[^\n]+/g;

/**
 * What becomes of `before` in `after`, as [kind, text] with the kinds "same", "gone" and "new", word by word; line by
 * line where that would take too long, and null where even that would.
 */
function difference(before, after) {
  for (const pattern of [WORDS, LINES]) {
    const path = shortest(before.match(pattern) || [], after.match(pattern) || []);
    if (path) return joined(path);
  }
  return null;
}

/** The shortest way from one list to the other (E. Myers, "An O(ND) Difference Algorithm", 1986); null if too long. */
function shortest(before, after) {
  const numbers = new Map();
  const numbered = (list) => Int32Array.from(list, (word) => {
    const bare = word.trimEnd();
    if (!numbers.has(bare)) numbers.set(bare, numbers.size);
    return numbers.get(bare);
  });
  const a = numbered(before), b = numbered(after);
  let start = 0, end = 0;
  const most = Math.min(a.length, b.length);
  while (start < most && a[start] === b[start]) start += 1;
  while (end < most - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const trail = search(a.subarray(start, a.length - end), b.subarray(start, b.length - end));
  if (!trail) return null;
  const same = (list) => list.map((word) => ["same", word]);
  const middle = backwards(before.slice(start, before.length - end), after.slice(start, after.length - end), trail);
  return [...same(after.slice(0, start)), ...middle, ...same(after.slice(after.length - end))];
}

/** For every cost how far along the first list a way of that cost gets on each line; null when none gets to the end. */
function search(a, b) {
  const most = Math.min(a.length + b.length, MOST_STEPS), middle = most + 1;
  const reach = new Int32Array(2 * most + 3).fill(-1);
  reach[middle + 1] = 0;
  const trail = [];
  for (let cost = 0; cost <= most; cost += 1) {
    for (let line = -cost; line <= cost; line += 2) {
      const down = line === -cost || (line !== cost && reach[middle + line - 1] < reach[middle + line + 1]);
      let x = down ? reach[middle + line + 1] : reach[middle + line - 1] + 1;
      while (x < a.length && x - line < b.length && a[x] === b[x - line]) x += 1;
      reach[middle + line] = x;
      if (x >= a.length && x - line >= b.length) return [...trail, reach.slice(middle - cost, middle + cost + 1)];
    }
    trail.push(reach.slice(middle - cost, middle + cost + 1));
  }
  return null;
}

function backwards(a, b, trail) {
  const path = [];
  let x = a.length, y = b.length;
  for (let cost = trail.length - 1; cost > 0; cost -= 1) {
    const at = (line) => (Math.abs(line) < cost ? trail[cost - 1][line + cost - 1] : -1);
    const line = x - y;
    const down = line === -cost || (line !== cost && at(line - 1) < at(line + 1));
    const from = down ? line + 1 : line - 1, fromX = at(from), fromY = fromX - from;
    while (x > (down ? fromX : fromX + 1)) {
      [x, y] = [x - 1, y - 1];
      path.push(["same", b[y]]);
    }
    path.push(down ? ["new", b[fromY]] : ["gone", a[fromX]]);
    [x, y] = [fromX, fromY];
  }
  while (x > 0) {
    x -= 1;
    path.push(["same", b[x]]);
  }
  return path.reverse();
}

/** Neighbours of one kind as one; inside a change, what is gone stands before what is new. */
function joined(path) {
  const pieces = [];
  let gone = "", fresh = "";
  const flush = () => {
    if (gone) pieces.push(["gone", gone]);
    if (fresh) pieces.push(["new", fresh]);
    gone = fresh = "";
  };
  for (const [kind, word] of path) {
    if (kind === "gone") gone += word;
    else if (kind === "new") fresh += word;
    else {
      flush();
      if (pieces.at(-1)?.[0] === "same") pieces.at(-1)[1] += word;
      else pieces.push(["same", word]);
    }
  }
  flush();
  return pieces;
}
