/** Which records a flush waits for: those sent before it, and none of those sent while it waits. */

/** The records sent between two flushes; done when the last of them has its outcome. */
export interface Round {
  count: number;
  readonly done: PromiseWithResolvers<void>;
}

export class FlushRounds {
  #current: Round = newRound();
  /** The ones that a flush waits for. */
  readonly #closed = new Set<Round>();

  /** Whether nothing is waited for. */
  get isEmpty(): boolean {
    return this.#current.count === 0 && this.#closed.size === 0;
  }

  /** Counts one record in, to be counted out with `leave` when it has its outcome. */
  enter(): Round {
    this.#current.count += 1;
    return this.#current;
  }

  leave(round: Round): void {
    round.count -= 1;
    if (round.count > 0 || round === this.#current) return;
    this.#closed.delete(round);
    round.done.resolve();
  }

  /** Resolves when all that have entered are out again; undefined when there is nothing to wait for. */
  settled(): Promise<unknown> | undefined {
    if (this.#current.count > 0) {
      this.#closed.add(this.#current);
      this.#current = newRound();
    }
    if (this.#closed.size === 0) return undefined;
    return Promise.all([...this.#closed].map(({ done }) => done.promise));
  }
}

function newRound(): Round {
  return { count: 0, done: Promise.withResolvers() };
}
