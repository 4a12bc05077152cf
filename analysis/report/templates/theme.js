(() => {
  const button = document.getElementById("theme"), root = document.documentElement;
  const order = ["system", "light", "dark"];
  const now = () => root.dataset.theme ?? "system";
  const show = () => { const title = `Theme: ${now()}`; button.title = title; button.setAttribute("aria-label", title); };
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(now()) + 1) % 3];
    if (next === "system") delete root.dataset.theme; else root.dataset.theme = next;
    show();
  });
  show();
})();
