/* What each machine said last: where several serve, a router may ask any of them. */

const FORGOTTEN_AFTER = 120_000; // milliseconds without a word: it was replaced, or is away

/** Those that have answered; `now` is in milliseconds, by any clock that goes on. */
export class Machines {
  #heard = new Map();
  #chosen = null;

  hear(told, now) {
    this.#heard.set(told.machine, { told, at: now });
    for (const [name, { at }] of this.#heard) {
      if (now - at > FORGOTTEN_AFTER) this.#heard.delete(name);
    }
    if (!this.#heard.has(this.#chosen)) this.#chosen = told.machine;
  }

  get names() {
    return [...this.#heard.keys()].sort();
  }

  /** Says whose word is shown: that of the first, until somebody chooses or it falls silent. */
  get chosen() {
    return this.#chosen;
  }

  choose(name) {
    this.#chosen = name;
  }

  /** Returns what the chosen one said last; undefined before anybody has. */
  get told() {
    return this.#heard.get(this.#chosen)?.told;
  }
}
