// Elements with data-events="URL" get the event sn-poll when the server-sent events of that address report a change.
// A stream that cannot be opened is tried again later; meanwhile poll.js asks.
const PERIOD_MS = 2000;
const streams = new Map();

export const isStreaming = (address) => streams.get(address)?.readyState === EventSource.OPEN;

function open(address) {
  const source = new EventSource(address);
  const changed = () => {
    for (const element of document.querySelectorAll("[data-events]")) {
      if (element.dataset.events === address) element.dispatchEvent(new CustomEvent("sn-poll"));
    }
  };
  source.addEventListener("progress", changed);
  source.addEventListener("end", () => { source.close(); changed(); });
  source.addEventListener("error", () => source.close());
  return source;
}

function follow() {
  const shown = document.visibilityState === "visible" ? [...document.querySelectorAll("[data-events]")] : [];
  const wanted = new Set(shown.map((element) => element.dataset.events));
  for (const [address, source] of streams) {
    if (wanted.has(address) && source.readyState !== EventSource.CLOSED) continue;
    source.close();
    streams.delete(address);
  }
  for (const address of wanted) if (!streams.has(address)) streams.set(address, open(address));
}

setInterval(follow, PERIOD_MS);
follow();
