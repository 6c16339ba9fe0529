// A Map that also answers its values as a list, made again only after a change: exports read it page by page.

export class Kept extends Map {
  /** The values, in the order of insertion. */
  list() {
    this.values_ ??= [...this.values()];
    return this.values_;
  }

  /** The values by `compare` of their keys, which is the same at every call. */
  sorted(compare) {
    this.sorted_ ??= [...this.entries()].sort(([a], [b]) => compare(a, b)).map(([, value]) => value);
    return this.sorted_;
  }

  set(key, value) {
    this.forget();
    return super.set(key, value);
  }

  delete(key) {
    this.forget();
    return super.delete(key);
  }

  forget() {
    this.values_ = undefined;
    this.sorted_ = undefined;
  }
}
