// One simulation: a world, and clients, an operator and faults in it. `run` plays the plan, then heals everything and demands
// that the cluster comes to rest, whole.

import { Client } from "./client.ts";
import { FaultInjector } from "./faults.ts";
import { Operator } from "./operator.ts";
import type { Plan } from "./plan.ts";
import { QuietEnd } from "./quiet-end.ts";
import { WatchClient } from "./watch-client.ts";
import { World } from "./world.ts";

export class Simulation {
  readonly world: World;
  readonly clients: Client[] = [];
  readonly watchers: WatchClient[] = [];
  readonly operator: Operator;
  readonly faults: FaultInjector;

  constructor(plan: Plan) {
    this.world = new World(plan, {
      said: (place, message) => this.faults.said(place, message),
      died: (node, reason) => this.faults.died(node, reason),
      refused: (node) => this.operator.replace(node),
      isWanted: (node) => this.operator.isWanted(node),
    });
    this.operator = new Operator(this.world);
    this.faults = new FaultInjector(this.world, this);
  }

  /** Plays everything. Throws a Violation. */
  run(): void {
    const { world } = this;
    const { activeUs, clientCount, watcherCount, faults } = world.plan;
    for (const node of world.nodes) node.start();
    for (let i = 0; i < clientCount; i++) this.clients.push(new Client(world, i));
    for (let i = 0; i < watcherCount; i++) this.watchers.push(new WatchClient(world, clientCount + i));
    this.faults.schedule(faults);
    this.operator.promoteLater();
    world.sweepLater();
    world.runUntil(activeUs);
    world.isQuiet = true;
    for (const client of this.clients) client.stop();
    this.faults.heal();
    new QuietEnd(world, this).run();
    world.trace.fold(world.history.checkedCount);
  }
}
