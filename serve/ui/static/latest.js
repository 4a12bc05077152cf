// Elements with data-latest="form" show an answer only if the form is still as it was asked about: a later choice would
// be lost with what the answer replaces, and its own question already waits (hx-sync="this:queue last").
const fields = (element) => new URLSearchParams(new FormData(document.querySelector(element.dataset.latest))).toString();
const asked = new WeakMap();
document.addEventListener("htmx:beforeRequest", ({ target }) => target.dataset?.latest && asked.set(target, fields(target)));
document.addEventListener("htmx:beforeSwap", ({ target, detail }) => {
  if (target.dataset?.latest && asked.get(target) !== fields(target)) detail.shouldSwap = false;
});
