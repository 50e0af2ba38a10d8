// The commands of the sandbox as forms, from what `about` says of them.

import { byId, clock, element } from "./tables.js";

const GROUPS = [
  ["Faults", ["fault", "clear-faults"]],
  ["Market", ["quote", "trade", "fill", "block-trade", "reference-price"]],
  ["Connections", ["shutdown", "disconnect", "end-events", "link"]],
  ["Time", ["advance", "set-back", "lag"]],
  ["Accounts", ["deposit", "external-lock", "account", "revoke"]],
];
const BUTTONS = { fault: "Inject the fault" };

/** Send a command; gives why it was refused, or null. */
export async function send(command, fields) {
  const headers = { "Content-Type": "application/json" };
  try {
    const answer = await fetch(`control/${command}`, { method: "POST", headers, body: JSON.stringify(fields) });
    return answer.ok ? null : await answer.json();
  } catch {
    return { error: "The sandbox does not answer.", field: null };
  }
}

/** All forms, by groups. */
export function showForms(about, symbol) {
  const named = new Map();
  for (const form of about.forms) named.set(form.command, [...(named.get(form.command) ?? []), form]);
  const groups = GROUPS.map(([title, commands]) => [title, commands.filter((command) => named.has(command))]);
  const rest = [...named.keys()].filter((command) => !GROUPS.some(([, commands]) => commands.includes(command)));
  for (const [title, commands] of [...groups, ["Others", rest]]) {
    if (!commands.length) continue;
    const forms = commands.map((command) => formOf(command, named.get(command), about, symbol));
    byId("forms").append(element("details", { open: title === "Faults" }, element("summary", {}, title), ...forms));
  }
}

function formOf(command, kinds, about, symbol) {
  const words = element("p");
  const entries = element("div", { className: "entries" });
  const said = element("output");
  const label = BUTTONS[command] ?? capital(command).replaceAll("-", " ");
  const button = element("button", { type: "submit", className: command === "fault" ? "main" : "" }, label);
  const choice = element("select", { name: "type" }, ...kinds.map(({ type }) => element("option", {}, type)));
  const chosen = () => kinds[choice.selectedIndex];
  const begin = () => {
    words.textContent = sentence(chosen().words);
    const sorted = [...chosen().entries].sort((one, other) => other.required - one.required);
    entries.replaceChildren(...sorted.map((entry) => fieldOf(entry, about, symbol)));
  };
  choice.onchange = begin;
  begin();
  const onsubmit = (event) => {
    event.preventDefault();
    submit(event.target, command, chosen(), said);
  };
  const kind = kinds.length > 1 ? [element("label", {}, "type ", choice)] : [];
  const made = element("form", { onsubmit, noValidate: true }, ...kind, words, entries, button, said);
  made.dataset.command = command;
  return made;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
const sentence = (words) => `${capital(words).replace(/\.$/, "")}.`;

function fieldOf(entry, about, symbol) {
  const name = entry.name.replaceAll(/[._]/g, " ");
  const input = inputOf(entry, about, symbol);
  Object.assign(input, { name: entry.name, title: entry.words, required: entry.required && !entry.nullable });
  return element("label", {}, name, input);
}

function inputOf(entry, about, symbol) {
  if (entry.name === "symbol") return choiceOf(about.symbols, symbol);
  if (entry.kind === "choice") return choiceOf(entry.choices, entry.default);
  if (entry.kind === "switch") return element("input", { type: "checkbox", checked: entry.default ?? false });
  const input = element("input", { value: entry.default ?? "", placeholder: hint(entry), autocomplete: "off" });
  input.inputMode = { text: "text", integer: "numeric" }[entry.kind] ?? "decimal";
  if (entry.name === "method") input.setAttribute("list", "methods");
  return input;
}

const choiceOf = (values, chosen) =>
  element("select", {}, ...values.map((value) => element("option", { selected: value === chosen }, value)));

const hint = (entry) => (entry.words.length && entry.words.length < 28 ? entry.words.replace(/\.$/, "") : "");

async function submit(form, command, { type, entries }, said) {
  for (const input of form.elements) input.removeAttribute("aria-invalid");
  const fields = type ? { type } : {};
  for (const entry of entries) {
    const value = valueOf(form.elements[entry.name], entry);
    if (value !== undefined) put(fields, entry.name.split("."), value);
  }
  const refused = await send(command, fields);
  said.className = refused ? "bad" : "good";
  said.value = refused ? refused.error : `Done at ${clock(Date.now()).slice(0, 8)} UTC.`;
  const wrong = refused && form.elements[refused.field ?? ""];
  if (wrong) {
    wrong.setAttribute("aria-invalid", "true");
    wrong.focus();
  }
}

/** Set a field, within others if it has several names. */
function put(fields, [name, ...rest], value) {
  if (rest.length) put((fields[name] ??= {}), rest, value);
  else fields[name] = value;
}

/** As JSON has it; undefined if it is to be left out. What is no number is sent as it is, for the sandbox to refuse. */
function valueOf(input, entry) {
  if (entry.kind === "switch") return input.checked;
  const text = input.value.trim();
  if (text === "") return entry.nullable ? null : entry.required ? "" : undefined;
  const isNumber = entry.kind === "integer" || entry.kind === "number";
  return isNumber && Number.isFinite(+text) ? +text : text;
}
