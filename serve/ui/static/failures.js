// A request of htmx that fails says why: in the part of the page that it was to fill, else in a note over the page.
const note = document.querySelector("[data-failure]");
note.querySelector("button").addEventListener("click", () => { note.hidden = true; });

function reasonOf({ status, responseText }) {
  if (!status) return ["The server does not answer.", ""];
  try {
    const { detail, code } = JSON.parse(responseText);
    return [detail, `${code} · ${status}`];
  } catch { // not of the service itself
    return ["The server could not do it.", `HTTP ${status}`];
  }
}

function show(place, [reason, code]) {
  place.querySelector("b").textContent = reason;
  place.querySelector("small").textContent = code;
}

function failed({ target, detail }) {
  const isPoll = detail.requestConfig.triggeringEvent?.type === "sn-poll";
  if (isPoll && detail.xhr.status !== 404) return; // it is asked again
  if (isPoll) return target.matches("tr") ? target.remove() : location.reload(); // deleted meanwhile
  if (target.matches("[hx-trigger^=load]")) {
    const copy = note.cloneNode(true);
    copy.className = "note bad section-s";
    copy.hidden = false;
    copy.removeAttribute("data-failure");
    copy.querySelector("button").remove();
    show(copy, reasonOf(detail.xhr));
    return target.replaceChildren(copy);
  }
  show(note, reasonOf(detail.xhr));
  note.hidden = false;
}

document.addEventListener("htmx:responseError", failed);
document.addEventListener("htmx:sendError", failed);
document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (detail.requestConfig.triggeringEvent?.type !== "sn-poll") note.hidden = true;
});
