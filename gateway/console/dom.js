// Making elements. Values of data sets come in as text nodes only, never as markup.

/**
 * Make an element. Attributes that are false or null are left out; functions become event listeners
 * ("onclick"). Children are nodes or text; empty ones are left out.
 */
export function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) setAttribute(node, key, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

function setAttribute(node, key, value) {
  if (value === false || value === null || value === undefined) return;
  if (typeof value === "function") node.addEventListener(key.slice(2), value);
  else node.setAttribute(key, value === true ? "" : value);
}

/** A button that submits nothing. */
export function makeButton(label, onclick, attributes = {}) {
  return make("button", { type: "button", onclick, ...attributes }, label);
}

/** The element of index.html with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A line that says something is on its way. */
export function makeWaiting(text) {
  return make("p", { class: "waiting quiet" }, make("span", { class: "spinner", "aria-hidden": "true" }), text);
}

/** Tell those who listen to the page what happened. */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** "1 series", "1,200 instances". */
export function count(number, one, many) {
  return `${Number(number).toLocaleString()} ${Number(number) === 1 ? one : many}`;
}
