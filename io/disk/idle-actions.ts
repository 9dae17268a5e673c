// What each queue of the disk keeps for the moment at which it is empty.

/** What waits for a queue to be empty. */
export class IdleActions {
  #actions: (() => void)[] = [];

  add(action: () => void): void {
    this.#actions.push(action);
  }

  run(): void {
    const actions = this.#actions;
    this.#actions = [];
    for (const action of actions) action();
  }
}
