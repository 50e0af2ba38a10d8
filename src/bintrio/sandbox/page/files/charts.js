// Charts, as SVG. Numbers become floats here only, to be pixels.

const NAMESPACE = "http://www.w3.org/2000/svg";
const RIGHT = 74; // pixels for prices
const BELOW = 20; // pixels for times

function part(tag, attributes, text) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** From values to pixels. */
function scale(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

/** Round values between two, about so many. */
function ticks(low, high, about) {
  const rough = (high - low || 1) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step) - first + 1;
  return Array.from({ length: Math.max(0, count) }, (_, index) => (first + index) * step);
}

const label = (value) => value.toLocaleString("en", { maximumSignificantDigits: 8 });

function size(svg) {
  const { width, height } = svg.getBoundingClientRect();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return { width, height };
}

/** Candles with their volumes below. */
export function drawCandles(svg, candles) {
  const { width, height } = size(svg);
  const right = width - RIGHT, bottom = height - BELOW;
  const fitting = candles.slice(-Math.max(1, Math.floor(right / 7)));
  if (!fitting.length || right < 0) return svg.replaceChildren();
  const x = scale(0, fitting.length, 2, right);
  const low = Math.min(...fitting.map((candle) => +candle.low));
  const high = Math.max(...fitting.map((candle) => +candle.high));
  const margin = (high - low) * 0.06 || high * 0.001;
  const y = scale(low - margin, high + margin, bottom * 0.8, 4);
  const volume = scale(0, Math.max(...fitting.map((candle) => +candle.volume)), bottom, bottom * 0.83);
  const body = Math.max(1, Math.min(12, (right / fitting.length) * 0.7));
  svg.replaceChildren(
    ...ticks(low - margin, high + margin, 4).flatMap((price) => [
      part("line", { class: "grid", x1: 0, x2: right, y1: y(price), y2: y(price) }),
      part("text", { x: right + 6, y: y(price) + 4 }, label(price)),
    ]),
    ...fitting.flatMap((candle, index) => candleParts(candle, x(index + 0.5), body, y, volume, bottom)),
    ...times(fitting, x, height),
  );
}

// A candle that rose is hollow, so that direction is told without colour.
function candleParts(candle, middle, body, y, volume, bottom) {
  const rose = +candle.close >= +candle.open;
  const name = rose ? "up" : "down";
  const top = y(Math.max(candle.open, candle.close));
  const tall = Math.max(1, Math.abs(y(candle.open) - y(candle.close)));
  const box = { x: middle - body / 2, width: body };
  return [
    part("line", { class: name, x1: middle, x2: middle, y1: y(candle.high), y2: y(candle.low) }),
    part("rect", { class: rose ? `${name} hollow` : name, y: top, height: tall, ...box }),
    part("rect", { class: name, opacity: 0.45, y: volume(candle.volume), height: bottom - volume(candle.volume), ...box }),
  ];
}

function times(candles, x, height) {
  const each = Math.ceil(candles.length / Math.max(1, Math.floor(x(candles.length) / 90)));
  return candles.flatMap((candle, index) => index % each ? [] : [
    part("text", { x: Math.max(0, x(index + 0.5) - 15), y: height - 5 }, new Date(candle.time).toISOString().slice(11, 16)),
  ]);
}

/** What would be bought and sold up to each price. Gives how many levels lie too far out to be drawn. */
export function drawDepth(svg, { bids, asks }) {
  const { width, height } = size(svg);
  const right = width - RIGHT, bottom = height - BELOW;
  const best = [bids[0], asks[0]].filter(Boolean).map(([price]) => +price);
  if (!best.length || right < 0) {
    svg.replaceChildren();
    return 0;
  }
  const middle = best.reduce((sum, price) => sum + price, 0) / best.length;
  const half = reach([...bids, ...asks].map(([price]) => Math.abs(price - middle)));
  const near = (levels) => levels.filter(([price]) => Math.abs(price - middle) <= half);
  const sides = [["bids", near(bids), -1], ["asks", near(asks), 1]];
  const sums = sides.map(([, levels]) => levels.reduce((sum, [, quantity]) => sum + +quantity, 0));
  const x = scale(middle - half * 1.1, middle + half * 1.1, 0, right);
  const y = scale(0, Math.max(...sums) * 1.08, bottom, 4);
  svg.replaceChildren(
    ...ticks(0, Math.max(...sums), 4).flatMap((quantity) => [
      part("line", { class: "grid", x1: 0, x2: right, y1: y(quantity), y2: y(quantity) }),
      part("text", { x: right + 6, y: y(quantity) + 4 }, label(quantity)),
    ]),
    ...sides.map(([name, levels, way]) => part("path", { class: name, d: steps(levels, x, y, x(middle + way * half * 1.1)) })),
    ...ticks(middle - half, middle + half, Math.max(2, Math.floor(right / 75))).map((price) =>
      part("text", { x: x(price), y: height - 5, "text-anchor": "middle" }, label(price))),
  );
  return bids.length + asks.length - sides.reduce((sum, [, levels]) => sum + levels.length, 0);
}

// One order far away would leave no room for those that matter.
function reach(distances) {
  const sorted = distances.sort((one, other) => one - other);
  const usual = sorted[Math.floor((sorted.length - 1) / 2)];
  return Math.min(sorted.at(-1), usual * 10) || 1;
}

function steps(levels, x, y, edge) {
  if (!levels.length) return "";
  let sum = 0;
  const path = levels.map(([price, quantity]) => {
    const from = sum;
    sum += +quantity;
    return `${from ? "L" : "M"}${x(+price)},${y(from)}V${y(sum)}`;
  });
  return `${path.join("")}H${edge}V${y(0)}Z`;
}
