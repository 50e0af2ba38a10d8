// What the sandbox tells comes in by `events`, is kept in `views`, and is drawn; nothing else changes what is shown.

import { drawCandles, drawDepth } from "./charts.js";
import { send, showForms } from "./forms.js";
import { byId, clock, element, lasting, say, short, show } from "./tables.js";

const CALLS_KEPT = 200;
const ENDED_KEPT = 5;
const LEVELS_SHOWN = 6;
const PATIENCE = 2_000; // milliseconds before another attempt

const views = {};
const calls = new Map(); // by number, the latest
const connections = new Map(); // by number, those that ended lately included
let changed = new Set(); // names of views that are not drawn yet
let missed = 0; // calls that came and went between two looks
let source = null;

// In

function listen() {
  source?.close();
  const watched = new URLSearchParams({ symbol: byId("symbol").value, interval: byId("interval").value });
  source = new EventSource(`events?${watched}`);
  source.onmessage = ({ data }) => take(JSON.parse(data));
  source.onerror = () => {
    tell("Interrupted. Trying again …", true);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, PATIENCE);
  };
}

function take({ skipped, views: news }) {
  Object.assign(views, news);
  if (news.calls) keepCalls(news.calls);
  if (news.connections) keepConnections(news.connections);
  Object.keys(news).forEach((name) => changed.add(name));
  tell(skipped ? `Live; ${skipped} updates were skipped, since this page reads slowly.` : "Live");
  if (!isPaused()) draw();
}

function keepCalls(latest) {
  const known = Math.max(0, ...calls.keys());
  if (known && latest.length) missed += Math.max(0, latest[0].number - known - 1);
  for (const call of latest) calls.set(call.number, call);
  for (const number of [...calls.keys()].sort((one, other) => one - other).slice(0, -CALLS_KEPT)) calls.delete(number);
}

function keepConnections(open) {
  const numbers = new Set(open.map(({ number }) => number));
  for (const one of connections.values()) if (!numbers.has(one.number)) one.endedAt ??= views.state.time;
  for (const one of open) connections.set(one.number, one);
  const ended = [...connections.values()].filter(({ endedAt }) => endedAt);
  for (const { number } of ended.slice(0, -ENDED_KEPT)) connections.delete(number);
}

// Out

const DRAWINGS = {
  state: () => {
    byId("time").dateTime = new Date(views.state.time).toISOString();
    byId("time").textContent = `${new Date(views.state.time).toISOString().slice(0, 10)} ${clock(views.state.time)} UTC`;
    drawBalances();
    drawConnections(); // their ages
  },
  connections: () => drawConnections(),
  calls: () => drawCalls(),
  orders: () => drawOrders(),
  fills: () => show(byId("fills"), FILLS, views.fills.toReversed(), ({ trade_id, order_id }) => `${trade_id}/${order_id}`),
  budgets: () => drawBudgets(),
  faults: () => drawFaults(),
  book: () => drawBook(),
  candles: () => drawCandleChart(),
};

function draw() {
  const names = changed;
  changed = new Set();
  for (const name of names) DRAWINGS[name]();
}

function drawCandleChart() {
  drawCandles(byId("candles"), views.candles);
  const last = views.candles.at(-1);
  say("candles-said", last ? `Last price ${short(last.close)}, volume ${short(last.volume)} in this candle` : "No trade yet");
}

function drawBook() {
  const { bids, asks } = views.book;
  const far = drawDepth(byId("depth"), views.book);
  const sides = [["bid", bids[0]], ["ask", asks[0]]].map(([name, best]) => (best ? `${name} ${short(best[0])}` : `no ${name}`));
  say("book-said", `Best ${sides.join(", ")}${farOut(far)}`);
  const deep = Math.min(LEVELS_SHOWN, Math.max(bids.length, asks.length));
  const rows = Array.from({ length: deep }, (_, depth) => ({ depth, bid: bids[depth] ?? [], ask: asks[depth] ?? [] }));
  show(byId("levels"), LEVELS, rows, ({ depth }) => depth);
}

const farOut = (count) => (count ? `; ${count} ${count === 1 ? "level is" : "levels are"} too far out to be drawn` : "");

const LEVELS = [
  { title: "Quantity", number: true, text: ({ bid }) => short(bid[1]) },
  { title: "Bid", number: true, name: () => "buy", text: ({ bid }) => short(bid[0]) },
  { title: "Ask", number: true, name: () => "sell", text: ({ ask }) => short(ask[0]) },
  { title: "Quantity", number: true, text: ({ ask }) => short(ask[1]) },
];

const sideOf = ({ side }) => side.toLowerCase();

const FILLS = [
  { title: "Time", text: ({ time }) => clock(time) },
  { title: "Side", name: sideOf, text: ({ side }) => side },
  { title: "Price", number: true, text: ({ price }) => short(price) },
  { title: "Quantity", number: true, text: ({ quantity }) => short(quantity) },
  { title: "Order", number: true, text: ({ order_id }) => String(order_id) },
  { title: "Account", number: true, text: ({ uid }) => String(uid) },
  { title: "Commission", number: true, text: ({ commission, commission_asset }) => `${short(commission)} ${commission_asset}` },
  { title: "As", text: ({ is_maker }) => (is_maker ? "maker" : "taker") },
];

const ORDERS = [
  { title: "Order", number: true, text: ({ order_id }) => String(order_id) },
  { title: "Account", number: true, text: ({ uid }) => String(uid) },
  { title: "Symbol", text: ({ symbol }) => symbol },
  { title: "Side", name: sideOf, text: ({ side }) => side },
  { title: "Type", text: ({ type }) => type },
  { title: "Price", number: true, text: ({ price, stop_price }) => (+price ? short(price) : `at ${short(stop_price)}`) },
  { title: "Filled", number: true, text: ({ executed, quantity }) => `${short(executed)} / ${short(quantity)}` },
  { title: "Status", text: ({ status }) => status },
  { title: "Fill", text: () => "Fill", label: ({ order_id }) => `Fill order ${order_id}`, press: ({ order_id }) => fill(order_id) },
  { title: "Client's id", text: ({ client_order_id }) => client_order_id },
];

async function fill(order) {
  const refused = await send("fill", { order });
  say("orders-said", refused ? refused.error : `Order ${order} was filled.`);
}

function drawOrders() {
  const more = views.state.open_orders - views.orders.length;
  byId("orders-title").textContent = `Open orders (${views.state.open_orders})`;
  say("orders-more", more > 0 ? `The newest ${views.orders.length}; ${more} more are open.` : "");
  show(byId("orders"), ORDERS, views.orders.toReversed(), ({ order_id }) => order_id);
}

const CONNECTIONS = [
  { title: "No.", number: true, text: ({ number }) => String(number) },
  { title: "Age", text: (one) => (one.endedAt ? `ended after ${lasting(one.endedAt - one.since)}` : lasting(views.state.time - one.since)) },
  { title: "Account", text: ({ uid, api_key }) => (uid === null ? "none" : `${uid} (${api_key})`) },
  { title: "Pings", number: true, text: ({ pings }) => String(pings) },
  { title: "Pong", number: true, text: ({ round_trip }) => (round_trip === null ? "" : `${(round_trip * 1000).toFixed(1)} ms`) },
  { title: "Events", text: ({ accounts }) => accounts.join(", ") },
  { title: "From", text: ({ address }) => address },
];

function drawConnections() {
  const rows = [...connections.values()].map((one) => ({ ...one, isEnded: Boolean(one.endedAt) }));
  show(byId("connections"), CONNECTIONS, rows.toReversed(), ({ number }) => number);
}

const CALLS = [
  { title: "Time", text: ({ time }) => clock(time) },
  { title: "Answer", name: ({ status }) => (status === 200 ? "good" : "bad"), text: answered },
  { title: "Method", text: ({ method }) => method || "not readable" },
  { title: "Connection", number: true, text: ({ connection }) => String(connection) },
  { title: "Parameters", text: ({ params }) => parametersOf(params) },
];

const UNTOLD = new Set(["timestamp", "recvWindow", "newClientOrderId", "newOrderRespType"]);

function answered({ status, code }) {
  if (status === null) return "none yet";
  return code === null ? String(status) : `${status} (${code})`;
}

function parametersOf(params) {
  const told = Object.entries(params).filter(([name]) => !UNTOLD.has(name));
  return told.map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(" ").slice(0, 160);
}

function drawCalls() {
  const rows = [...calls.values()].sort((one, other) => other.number - one.number);
  say("calls-said", missed ? `${missed} calls passed too fast to be shown.` : "");
  show(byId("calls"), CALLS, rows, ({ number }) => number);
}

const BALANCES = [
  { title: "Account", number: true, text: ({ uid }) => String(uid) },
  { title: "Asset", text: ({ asset }) => asset },
  { title: "Free", number: true, text: ({ free }) => short(free) },
  { title: "Locked", number: true, text: ({ locked }) => short(locked) },
];

function drawBalances() {
  const rows = views.state.accounts.flatMap(({ uid, balances }) =>
    Object.entries(balances).map(([asset, amounts]) => ({ uid, asset, ...amounts })));
  show(byId("balances"), BALANCES, rows, ({ uid, asset }) => `${uid}/${asset}`);
}

function per(interval) {
  const [number, unit] = interval.toLowerCase().split(" ");
  return number === "1" ? `per ${unit}` : `per ${number} ${unit}s`;
}

const LIMITS = { REQUEST_WEIGHT: "weight", ORDERS: "orders", CONNECTIONS: "connections" };

function drawBudgets() {
  const list = byId("budgets");
  views.budgets.forEach((budget, index) => {
    const item = list.children[index] ?? list.appendChild(budgetItem());
    const [name, use, meter] = item.children;
    const owner = budget.uid === null ? `Address ${budget.address}` : `Account ${budget.uid}`;
    name.textContent = `${owner}: ${LIMITS[budget.type] ?? budget.type} ${per(budget.interval)}`;
    use.textContent = budget.banned_until ? `banned until ${clock(budget.banned_until)}` : `${short(budget.used)} of ${short(budget.limit)}`;
    use.className = budget.banned_until ? "bad" : "";
    Object.assign(meter, { max: budget.limit || 1, high: budget.limit * 0.8, value: budget.used });
    meter.setAttribute("aria-label", `${name.textContent}, ${use.textContent}`);
  });
  while (list.children.length > views.budgets.length) list.lastChild.remove();
}

const budgetItem = () => element("li", {}, element("span"), element("span"), element("meter"));

function drawFaults() {
  const items = views.faults.map(({ type, method, times, skip }) => {
    const often = times === null ? "always" : times === 1 ? "once" : `${times} times`;
    return element("li", {}, `${type}, for ${method ?? "any request"}, ${often}${skip ? `, after ${skip} more` : ""}`);
  });
  byId("faults").replaceChildren(...items);
}

function tell(text, isBroken = false) {
  const shown = isPaused() && !isBroken ? "Paused" : text;
  say("stream", shown);
  byId("stream").className = isBroken ? "broken" : "";
}

// Controls

const isPaused = () => byId("pause").getAttribute("aria-pressed") === "true";

function pause() {
  byId("pause").setAttribute("aria-pressed", String(!isPaused()));
  tell("Live");
  if (!isPaused()) draw();
}

function redrawCharts() {
  for (const name of ["book", "candles"]) if (views[name]) DRAWINGS[name]();
}

const options = (values) => values.map((value) => element("option", {}, value));

async function begin() {
  const about = await (await fetch("about")).json();
  byId("endpoint").textContent = about.endpoint;
  byId("symbol").append(...options(about.symbols));
  byId("interval").append(...options(about.intervals));
  byId("interval").value = "1m";
  byId("methods").append(...options(about.methods));
  showForms(about, byId("symbol").value);
  byId("symbol").onchange = () => {
    for (const field of document.querySelectorAll("form [name=symbol]")) field.value = byId("symbol").value;
    listen();
  };
  byId("interval").onchange = listen;
  byId("pause").onclick = pause;
  new ResizeObserver(redrawCharts).observe(byId("depth"));
  matchMedia("(prefers-color-scheme: dark)").onchange = redrawCharts;
  listen();
}

begin();
