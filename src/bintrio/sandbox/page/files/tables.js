// Elements and tables. What comes from the exchange only ever becomes text, never markup.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; text children are text. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export const say = (id, text) => {
  // A live region reads what is set again, also if it is the same.
  if (byId(id).textContent !== text) byId(id).textContent = text;
};

/**
 * Show rows in a table. Rows that stay keep their elements, so that neither the focus nor a selection is lost.
 *
 * @param table the element
 * @param columns of each: title, number (to the right), text(row), and if need be name(row), a class, or press(row)
 * @param rows in their order
 * @param key of a row
 */
export function show(table, columns, rows, key) {
  if (!table.tHead) begin(table, columns);
  const body = table.tBodies[0];
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  rows.forEach((row, position) => {
    const name = String(key(row));
    const shown = known.get(name) ?? empty(name, columns);
    known.delete(name);
    columns.forEach((column, index) => set(shown.cells[index], column, row));
    shown.className = row.isEnded ? "ended" : "";
    if (body.rows[position] !== shown) body.insertBefore(shown, body.rows[position] ?? null);
  });
  known.forEach((row) => row.remove());
}

function begin(table, columns) {
  const titles = columns.map(({ title, number }) =>
    element("th", { scope: "col", className: number ? "number" : "" }, title));
  table.append(element("thead", {}, element("tr", {}, ...titles)), element("tbody"));
}

function empty(name, columns) {
  const row = element("tr", {}, ...columns.map(() => element("td")));
  row.dataset.key = name;
  return row;
}

function set(cell, column, row) {
  const name = `${column.number ? "number" : ""} ${column.name?.(row) ?? ""}`.trim();
  if (cell.className !== name) cell.className = name;
  if (column.press) return setButton(cell, column, row);
  const text = column.text(row);
  if (cell.textContent !== text) cell.textContent = text;
}

function setButton(cell, column, row) {
  if (!cell.firstChild) cell.append(element("button", { type: "button", onclick: () => column.press(row) }, column.text(row)));
  cell.firstChild.setAttribute("aria-label", column.label(row));
}

/** Decimal text without the zeros at its end, with thousands apart: no digit is lost. */
export function short(number) {
  if (number === null || number === undefined) return "";
  const [whole, fraction = ""] = String(number).split(".");
  const digits = fraction.replace(/0+$/, "");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (digits && `.${digits}`);
}

/** The time of day in UTC. */
export const clock = (milliseconds) => new Date(milliseconds).toISOString().slice(11, 23);

/** How long something lasts, in words that stay short. */
export function lasting(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
