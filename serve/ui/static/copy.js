// Buttons with data-copy copy the command beside them, and say so.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard?.writeText(button.parentElement.querySelector("code").textContent);
  button.setAttribute("aria-label", "Copied");
  button.title = "Copied";
});
