// A picture that cannot be shown is replaced by the reason, as the tile of a failed image has it. Not a module: it has
// to be there before the first picture.
{
  const SHOWN = ".shot > img, .stage-view image, .layer image";
  const reasonOf = async (address) => {
    const answer = await fetch(address).catch(() => null);
    if (!answer?.headers.get("Content-Type")?.includes("json")) return { code: "", detail: "The picture cannot be loaded." };
    return answer.json();
  };
  const replace = async (picture) => {
    const place = picture.closest(".shot, .stage-view, .layer");
    const { code, detail } = await reasonOf(picture.currentSrc || picture.href.baseVal);
    const none = Object.assign(document.createElement("span"), { className: "none" });
    none.append(Object.assign(document.createElement("b"), { textContent: code }), detail);
    picture.remove();
    if (place.matches(".shot")) place.replaceChildren(none); // objects without their picture would hide it
    else place.append(none);
  };
  document.addEventListener("error", ({ target }) => { if (target.matches?.(SHOWN)) replace(target); }, true);
}
