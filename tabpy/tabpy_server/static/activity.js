/* Activity: asks the server what it has been doing, and draws it. */

import { chart } from "./charts.js";
import { Machines } from "./machines.js";
import { showRequests } from "./requests.js";
import { address, element, show } from "./shell.js";

const BETWEEN = 3000; // milliseconds between looks
const machines = new Machines();
let isPaused = false;

const MB = 1 << 20;
const megabytes = (bytes) => (
  bytes >= 1000 * MB ? `${(bytes / MB / 1024).toFixed(1)} GB` : `${Math.round(bytes / MB)} MB`
);
const whole = (number) => number.toLocaleString();

function showAll() {
  const { told } = machines;
  if (!told) return;
  element("machine").textContent = told.machine;
  show("rate", whole(Number(told.rate.toPrecision(2))));
  show("busy", `${told.busy} of ${told.workers}`);
  show("waiting", whole(told.waiting));
  show("memory", told.memory === null ? "not known here" : ofLimit(told.memory, told.memory_limit));
  const errors = Object.values(told.hour.errors).reduce((sum, each) => sum + each, 0);
  show("errors", `${whole(errors)} of ${whole(told.hour.requests)} requests`);
  showCharts(told);
  showKinds(Object.entries(told.hour.errors));
  showRequests(told.requests, element("failed").checked);
}

function ofLimit(bytes, limit) {
  return limit === null ? megabytes(bytes) : `${megabytes(bytes)} of ${megabytes(limit)}`;
}

function showCharts(told) {
  const of = (take) => told.minutes.map(take);
  const seconds = (at) => Math.max(1, Math.min(60, told.now - at)); // the last minute isn't over
  const draw = (id, ...rest) => element(`chart-${id}`).replaceChildren(chart(...rest));
  const times = (name) => ["p50", "p99"].map((which) => of((each) => each[name]?.[which] ?? null));
  draw("rate", "Requests a second", [of((each) => each.requests / seconds(each.at))], { asBars: true });
  draw("errors", "Errors a minute", [of(({ errors }) => (
    Object.values(errors).reduce((sum, each) => sum + each, 0)
  ))], { asBars: true });
  draw("run", "How long jobs ran, in milliseconds", times("run"));
  draw("queued", "How long jobs waited, in milliseconds", times("queued"));
  draw("busy", "Workers busy", [of((each) => each.busy)], { limit: told.workers });
  draw("memory", "Memory", [of((each) => each.memory)],
    { limit: told.memory_limit, format: megabytes });
}

function showKinds(kinds) {
  const most = Math.max(...kinds.map(([, number]) => number), 1);
  element("no-kinds").hidden = kinds.length > 0;
  element("kinds").replaceChildren(...kinds.map(([kind, number]) => {
    const item = document.createElement("li");
    const name = document.createElement("span");
    name.textContent = kind === "any" ? "Errors of any kind" : kind;
    const meter = document.createElement("meter");
    Object.assign(meter, { max: most, value: number, ariaHidden: "true" });
    const count = document.createElement("b");
    count.textContent = whole(number);
    item.append(name, meter, count);
    return item;
  }));
}

/* Asking */

async function look() {
  const reply = await fetch(address("activity"));
  if (!reply.ok) throw new Error(`Status ${reply.status}`);
  machines.hear(await reply.json(), performance.now());
  offerMachines();
}

/** Offers each machine that has answered, once there are several. */
function offerMachines() {
  const choice = element("machines");
  const { names } = machines;
  element("several").hidden = names.length < 2;
  if ([...choice.options].map((each) => each.value).join() !== names.join()) {
    choice.replaceChildren(...names.map((name) => new Option(name, name)));
  }
  choice.value = machines.chosen;
}

/** Looks again and again; a server that is away is told of, and looked for. */
async function keepLooking() {
  for (;;) {
    if (!isPaused && !document.hidden) {
      try {
        await look();
        showAll();
        element("away").hidden = true;
      } catch (error) {
        const since = new Date().toLocaleTimeString();
        if (element("away").hidden) {
          show("away", `No answer since ${since} (${error.message}). It goes on when the server is back.`);
        }
      }
    }
    await new Promise((done) => { setTimeout(done, BETWEEN); });
  }
}

element("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  element("pause").textContent = isPaused ? "Go on" : "Pause";
});
element("failed").addEventListener("change", showAll);
element("machines").addEventListener("change", () => {
  machines.choose(element("machines").value);
  showAll();
});
keepLooking();
