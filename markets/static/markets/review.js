// Keys of the review inbox. Without this script the same is done with the form's own controls.
"use strict";

window.addEventListener("DOMContentLoaded", () => {
  const page = document.querySelector("[data-review]");
  const form = page?.querySelector("[data-decide]");
  if (!form) {
    return;
  }
  const item = page.querySelector("[data-item]");
  const isFolded = (radio) => radio.closest("details:not([open])") !== null;
  const visible = () => [...form.querySelectorAll("input[type=radio]")].filter((radio) => !isFolded(radio));
  const chosen = () => form.querySelector("input[type=radio]:checked");
  page.querySelector("[data-keys]").hidden = false;

  function mark() {
    for (const label of form.querySelectorAll(".msm-candidate")) {
      label.classList.toggle("msm-chosen", label.contains(chosen()));
    }
  }

  function move(step) {
    const radios = visible();
    if (!radios.length) {
      return;
    }
    const at = radios.indexOf(chosen());
    const next = at < 0 ? (step > 0 ? 0 : radios.length - 1) : Math.min(Math.max(at + step, 0), radios.length - 1);
    radios[next].checked = true;
    radios[next].focus({ preventScroll: true });
    radios[next].closest("label").scrollIntoView({ block: "nearest" });
    mark();
  }

  function venues() {
    const branch = chosen()?.closest("[data-venues]") ?? chosen()?.closest("li")?.querySelector("[data-venues]");
    const all = [...form.querySelectorAll("[data-venues]")];
    for (const fold of branch ? [branch] : all) {
      fold.open = branch ? !fold.open : !all.every((one) => one.open);
    }
    if (branch && isFolded(chosen())) {
      branch.closest("li").querySelector("input[type=radio]")?.click(); // a choice is never out of sight
    }
    mark();
  }

  function decide(what) {
    form.requestSubmit(form.querySelector(`button[value=${what}]`));
  }

  function open(link) {
    if (link) {
      window.location.assign(link.href);
    }
  }

  function previous() {
    const links = [...page.querySelectorAll(".msm-review-list a[href]")];
    return links[links.findIndex((link) => link.hasAttribute("aria-current")) - 1];
  }

  const keys = {
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    v: venues,
    n: () => open(page.querySelector("[data-next]")),
    p: () => open(previous()),
    "/": () => page.querySelector("[data-filter] input[type=search]").focus(),
  };
  if (form.querySelector("button[value=accept]")) {
    Object.assign(keys, {
      Enter: () => decide("accept"),
      x: () => decide("decline"),
      l: () => decide("postpone"),
      r: () => form.elements.reason.focus(),
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || (event.repeat && event.key === "Enter")) {
      return;
    }
    const target = event.target;
    const isRadio = target.matches("input[type=radio]");
    if (!isRadio && target.matches("input, select, textarea")) {
      if (event.key === "Escape") {
        target.blur();
        item.focus({ preventScroll: true });
      }
      return;
    }
    if (event.key === "Enter" && target.matches("a, button, summary")) {
      return; // what has the focus is meant
    }
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });
  form.addEventListener("change", mark);
  mark();
  item.focus({ preventScroll: true });
});
