// <sn-single data-post="…">: sends a dropped image with the form's fields and shows the answer of the server, drawn over
// the image that the browser has. The confidence slider and the downloads need no further request. Several files or an
// archive are sent to data-batch; the page of the job, below data-jobs, takes the place of this one.
customElements.define("sn-single", class extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("[data-form]");
    this.result = this.querySelector("[data-result]");
    this.note = this.querySelector("[data-note]");
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.addEventListener("sn-files", (event) => this.predict(event.detail.files[0]));
    this.addEventListener("sn-batch", (event) => this.send(event.detail.files));
    this.addEventListener("input", (event) => event.target.matches("[data-min]") && this.filter(event.target.value));
    document.body.addEventListener("htmx:afterSettle", (event) => event.target.id === "checkpoint" && this.again());
    this.addEventListener("change", (event) => event.target.matches("[data-cam]") && this.cam(event.target));
    this.querySelector("#checkpoint").addEventListener("change", () => this.again());
  }
  again() { if (this.file) this.predict(this.file); }
  async predict(file) {
    const turn = this.turn = (this.turn ?? 0) + 1;
    const body = new FormData(this.form);
    body.append("image", file);
    this.setAttribute("aria-busy", "true");
    let html, ok;
    try {
      const answer = await fetch(this.dataset.post, { method: "POST", body, headers: { "HX-Request": "true" } });
      const sign = answer.headers.get("HX-Redirect");
      if (sign) { location.assign(sign); return; }
      [html, ok] = [await answer.text(), answer.ok];
      if (!ok && answer.headers.get("Content-Type")?.includes("json")) { // rejected before it reached the page
        if (turn === this.turn) this.fail(JSON.parse(html).detail, JSON.parse(html).code);
        return;
      }
    } catch { [html, ok] = [`<div class="note bad" role="alert"><b>The server does not answer.</b></div>`, false]; }
    if (turn !== this.turn) return; // a later image was dropped
    this.removeAttribute("aria-busy");
    this.result.innerHTML = html;
    if (!ok) return;
    if (this.file !== file) this.keep(file);
    const image = this.querySelector("[data-dropped]");
    image.setAttribute("href", this.url);
    const name = file.name || "pasted image";
    this.note.textContent = `${name}, ${image.getAttribute("width")} × ${image.getAttribute("height")} px`;
    const json = this.querySelector("[data-result-json]").textContent;
    this.link("[data-json]", new Blob([json], { type: "application/json" }));
    this.querySelector("[data-picture]").addEventListener("click", (event) => this.picture(event));
  }
  send(files) { // XMLHttpRequest: fetch does not tell how much has been sent
    this.turn = (this.turn ?? 0) + 1;
    const request = new XMLHttpRequest(), body = new FormData(), template = this.querySelector("[data-sending]");
    for (const name of ["training_job_id", "checkpoint"]) body.append(name, this.form.elements[name].value);
    body.append("visualize", "all"); // so that the ZIP archive has them
    for (const file of files) body.append("images", file, file.name);
    this.result.replaceChildren(template.content.cloneNode(true));
    const bar = this.result.querySelector("progress"), text = this.result.querySelector("[data-sent]");
    this.result.querySelector("[data-stop]").addEventListener("click", () => request.abort());
    this.setAttribute("aria-busy", "true");
    request.upload.addEventListener("progress", (event) => {
      bar.value = event.loaded / event.total;
      text.textContent = event.loaded < event.total ? `${Math.floor(100 * event.loaded / event.total)} % sent` : "Checking images and checkpoint";
    });
    request.addEventListener("load", () => {
      const answer = request.response ?? {};
      if (request.status === 202) location.assign(`${this.dataset.jobs}/${answer.id}`);
      else this.fail(answer.detail ?? "The server could not take the batch.", answer.code ?? `HTTP ${request.status}`);
    });
    request.addEventListener("error", () => this.fail("The files could not be sent: the server does not answer, or a file cannot be read.", ""));
    request.addEventListener("abort", () => this.fail("Nothing was predicted: the upload was stopped.", ""));
    request.responseType = "json";
    request.open("POST", this.dataset.batch);
    request.send(body);
  }
  fail(detail, code) {
    this.removeAttribute("aria-busy");
    this.result.replaceChildren(this.querySelector("[data-failed]").content.cloneNode(true));
    this.result.querySelector("b").textContent = detail;
    this.result.querySelector("small").textContent = code;
  }
  keep(file) {
    this.file = file;
    this.url = URL.createObjectURL(file);
    const list = this.querySelector("[data-recent-list]");
    const tile = document.createElement("button");
    tile.type = "button";
    tile.className = "tile";
    tile.setAttribute("aria-label", `Predict ${file.name || "the pasted image"} again`);
    const shot = document.createElement("span");
    shot.className = "shot";
    shot.append(Object.assign(new Image(), { src: this.url, alt: "" }));
    tile.append(shot);
    const url = this.url;
    tile.addEventListener("click", () => { [this.file, this.url] = [file, url]; this.predict(file); });
    list.prepend(tile);
    while (list.children.length > 6) list.lastChild.remove();
    this.querySelector("[data-recent]").hidden = false;
  }
  filter(value) {
    this.querySelector("sn-overlay").setAttribute("min", value);
    this.querySelector("[data-min-out]").textContent = Number(value).toFixed(2);
  }
  async cam(box) { // asked for once per prediction: the model is run again, with gradients
    const stage = this.querySelector("sn-overlay"), image = stage.querySelector("image.cam"), turn = this.turn;
    stage.classList.toggle("cam-on", box.checked);
    if (!box.checked || image.hasAttribute("href")) return;
    const body = new FormData(this.form);
    body.append("image", this.file);
    body.set("explain", "gradcam");
    body.set("record", "false");
    const answer = await fetch(this.dataset.api, { method: "POST", body }).catch(() => null);
    const found = await answer?.json().catch(() => null);
    if (turn !== this.turn) return;
    if (!answer?.ok || !found) { box.checked = false; stage.classList.remove("cam-on"); this.note.textContent = found?.detail ?? "The server does not answer."; return; }
    const bytes = Uint8Array.from(atob(found.explanation.heat.split(",")[1]), (letter) => letter.charCodeAt(0));
    const [left, top, right, bottom] = found.explanation.region;
    for (const part of [image, stage.querySelector("rect.crop")]) for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) part.setAttribute(name, value);
    this.heat = new Blob([bytes], { type: "image/png" });
    image.setAttribute("href", URL.createObjectURL(this.heat));
  }
  link(selector, blob) { this.querySelector(selector).href = URL.createObjectURL(blob); }
  async picture(event) { // the image and what is drawn over it, at the size of the image
    const link = event.currentTarget;
    event.preventDefault();
    const svg = this.querySelector("svg.ov"), image = this.querySelector("[data-dropped]");
    const [width, height] = ["width", "height"].map((side) => Number(image.getAttribute(side)));
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const draw = canvas.getContext("2d");
    draw.drawImage(await createImageBitmap(this.file), 0, 0, width, height);
    const cam = svg.parentElement.closest(".cam-on") && svg.querySelector("image.cam[href]");
    if (cam) {
      const [x, y, w, h] = ["x", "y", "width", "height"].map((side) => Number(cam.getAttribute(side)));
      draw.globalAlpha = .62;
      draw.drawImage(await createImageBitmap(this.heat), x, y, w, h);
      draw.globalAlpha = 1;
    }
    const line = Math.max(2, Math.round(Math.max(width, height) / 400));
    draw.font = `500 ${6 * line}px sans-serif`;
    for (const object of svg.querySelectorAll(".ob:not([hidden])")) {
      const colour = getComputedStyle(object.querySelector("rect.pr")).stroke;
      for (const path of object.querySelectorAll("path.mask, path.limb, path.joint")) {
        const shape = new Path2D(path.getAttribute("d"));
        draw.globalAlpha = path.matches(".mask") ? .28 : 1;
        draw.fillStyle = path.matches(".joint") ? "#fff" : colour;
        draw.strokeStyle = colour;
        draw.lineWidth = line;
        path.matches(".limb") ? draw.stroke(shape) : draw.fill(shape);
      }
      draw.globalAlpha = 1;
      const box = object.querySelector("rect.pr"), [x, y, w, h] = ["x", "y", "width", "height"].map((side) => Number(box.getAttribute(side)));
      draw.strokeStyle = colour;
      draw.lineWidth = line;
      draw.strokeRect(x, y, w, h);
      const text = object.querySelector("text").textContent, wide = draw.measureText(text).width + 4 * line;
      draw.fillStyle = colour;
      draw.fillRect(x, Math.max(0, y - 8 * line), wide, 8 * line);
      draw.fillStyle = "#0a0c0f";
      draw.fillText(text, x + 2 * line, Math.max(0, y - 8 * line) + 6 * line);
    }
    const top = this.querySelector(".top5 li");
    if (top) this.caption(draw, [...top.children].slice(0, 2).map((part) => part.textContent).join(" "), line);
    const saved = Object.assign(document.createElement("a"), { download: link.download });
    canvas.toBlob((blob) => { saved.href = URL.createObjectURL(blob); saved.click(); });
  }
  caption(draw, text, line) { // the predicted class of a classifier, at the top
    draw.fillStyle = "#0a0c0f";
    draw.fillRect(0, 0, draw.measureText(text).width + 4 * line, 8 * line);
    draw.fillStyle = "#fff";
    draw.fillText(text, 2 * line, 6 * line);
  }
});
