// <sn-rows max="2">: check boxes in a table, whose rows may be replaced; the bar [data-bulk] shows what is selected and
// links [data-go] to data-base?a=…&b=…. Event: sn-rows {ids}
customElements.define("sn-rows", class extends HTMLElement {
  connectedCallback() {
    this.chosen = [];
    this.addEventListener("change", (event) => event.target.matches("tbody input[type=checkbox]") && this.pick(event.target));
    this.querySelector("[data-clear]")?.addEventListener("click", () => { this.chosen = []; this.show(); });
    this.addEventListener("htmx:afterSettle", () => this.show());
    for (const box of this.querySelectorAll("tbody input:checked")) this.pick(box);
    this.show();
  }
  pick(box) {
    this.chosen = this.chosen.filter((other) => other.id !== box.value);
    if (box.checked) this.chosen.push({ id: box.value, name: box.dataset.name, set: box.dataset.set });
    this.chosen = this.chosen.slice(-Number(this.getAttribute("max") ?? 2));
    this.show();
  }
  show() {
    for (const box of this.querySelectorAll("tbody input[type=checkbox]")) {
      box.checked = this.chosen.some((one) => one.id === box.value);
      box.closest("tr").setAttribute("aria-selected", box.checked);
    }
    const bulk = this.querySelector("[data-bulk]");
    bulk.hidden = this.chosen.length === 0;
    const [a, b] = [...this.chosen].sort((x, y) => x.id - y.id); // the older run is A, the baseline
    bulk.querySelector("[data-text]").textContent = b
      ? a.set && a.set === b.set ? `${a.name} (A) and ${b.name} (B): same images, paired comparison`
        : `${a.name} (A) and ${b.name} (B) list different images: only the common ones are compared`
      : a ? `${a.name} selected. Select a second run to compare.` : "";
    const go = bulk.querySelector("[data-go]");
    if (b) go.href = `${go.dataset.base}?a=${encodeURIComponent(a.id)}&b=${encodeURIComponent(b.id)}`;
    else go.removeAttribute("href");
    go.setAttribute("aria-disabled", String(!b));
    this.dispatchEvent(new CustomEvent("sn-rows", { bubbles: true, detail: { ids: this.chosen.map((one) => one.id) } }));
  }
});
