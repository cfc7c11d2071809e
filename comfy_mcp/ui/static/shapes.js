// The shapes of a picture: a press brings width and height to one, at about as many pixels; the one that they have is
// marked. Needs fields.js.
(() => {
  const sidesOf = (size) => ["width", "height"].map((name) => fields.named(size, name));
  const pixelsOf = (size) => sidesOf(size).map((field) => Number(fields.read(field) || field.dataset.default));

  /** A side of the picture as its box takes it: on its grid, between its bounds. */
  function side(box, pixels) {
    const [step, low, high] = [Number(box.step) || 1, Number(box.min) || 1, Number(box.max) || Infinity];
    const grid = low + Math.round((pixels - low) / step) * step;
    return Math.min(Math.max(grid, low), low + Math.floor((high - low) / step) * step);
  }

  /** The shape that the numbers have now, as near as their grid lets them. */
  function mark(size) {
    const [[wide, high], step] = [pixelsOf(size), Number(size.querySelector("[name]").step) || 1];
    const shapes = [...size.querySelectorAll("[data-shape]")].map((button) => {
      const [across, down] = button.dataset.shape.split(":").map(Number);
      return [button, Math.abs(wide * down - high * across) / (across + down)];
    });
    const least = Math.min(...shapes.map(([, off]) => off));
    for (const [button, off] of shapes) button.setAttribute("aria-pressed", String(off === least && off < step / 2));
  }

  function shape(size, ratio) {
    const [wide, high] = pixelsOf(size);
    const [across, down] = ratio ? ratio.split(":").map(Number) : [high, wide];
    const area = wide * high;
    const wanted = [Math.sqrt(area * across / down), Math.sqrt(area * down / across)];
    sidesOf(size).forEach((field, at) => fields.tell(field, String(side(field.querySelector("[name]"), wanted[at]))));
  }

  const sizeAt = ({ target }) => (target.closest ? target.closest("[data-kind=size]") : null);
  for (const happened of ["input", "change"]) {
    document.addEventListener(happened, (event) => sizeAt(event) && mark(sizeAt(event)));
  }
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-shape], [data-swaps]");
    if (pressed) shape(sizeAt(event), pressed.dataset.shape);
  });
})();
