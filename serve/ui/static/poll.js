// Elements with data-poll get the event sn-poll every two seconds (hx-trigger="sn-poll"), while the tab is visible and
// nobody is typing in them; those with data-events only while their stream is closed.
import { isStreaming } from "./events.js";

const PERIOD_MS = 2000;
setInterval(() => {
  if (document.visibilityState !== "visible") return;
  for (const element of document.querySelectorAll("[data-poll]")) {
    if (isStreaming(element.dataset.events) || element.matches(":has(input:focus, select:focus)")) continue;
    element.dispatchEvent(new CustomEvent("sn-poll"));
  }
}, PERIOD_MS);
