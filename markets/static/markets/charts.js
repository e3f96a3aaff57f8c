// Draws the figures of a page: fetches each one's JSON item from its own address and hands it to BokehJS.
"use strict";

(() => {
  const isDark = () => document.documentElement.classList.contains("dark");

  function say(element, text, retry) {
    const state = document.createElement("p");
    state.className = "msm-chart-state";
    state.textContent = text;
    if (retry) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "msm-link";
      button.textContent = "Try again";
      button.addEventListener("click", () => draw(element));
      state.append(" ", button);
    }
    element.replaceChildren(state);
  }

  function forget(element) {
    for (const view of element.msmViews || []) {
      view.remove();
    }
    element.msmViews = [];
  }

  async function draw(element) {
    const turn = (element.msmTurn = (element.msmTurn || 0) + 1);
    forget(element);
    element.style.minHeight = `${element.dataset.height}px`;
    element.dataset.state = "loading";
    say(element, "Loading the chart…");
    let item;
    try {
      const url = new URL(element.dataset.chart, window.location.href);
      url.searchParams.set("theme", isDark() ? "dark" : "light");
      const response = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (response.redirected || response.status === 403) {
        throw new Error("You are no longer logged in, or may not see this. Reload the page.");
      }
      if (!response.ok) {
        throw new Error(`The server answered ${response.status}.`);
      }
      item = await response.json();
    } catch (error) {
      if (turn === element.msmTurn) {
        element.dataset.state = "error";
        say(element, `The chart could not be loaded. ${error.message}`, true);
      }
      return;
    }
    if (turn !== element.msmTurn) {
      return;
    }
    if (item.empty) {
      element.dataset.state = "empty";
      say(element, item.empty);
      return;
    }
    try {
      const canvas = document.createElement("div");
      element.replaceChildren(canvas);
      const manager = await window.Bokeh.embed.embed_item(item, canvas);
      element.msmViews = manager && manager.roots ? [...manager.roots] : [];
      element.dataset.state = "drawn";
    } catch (error) {
      element.dataset.state = "error";
      say(element, `The chart could not be drawn. ${error.message}`, true);
    }
  }

  function begin() {
    const charts = [...document.querySelectorAll("[data-chart]")];
    charts.forEach(draw);
    for (const choice of document.querySelectorAll("[data-chart-choice]")) {
      choice.addEventListener("change", () => {
        const chart = choice.closest("[data-charts]").querySelector("[data-chart]");
        chart.dataset.chart = choice.value;
        draw(chart);
      });
    }
    let dark = isDark();
    new MutationObserver(() => {
      if (dark !== isDark()) {
        dark = isDark();
        charts.forEach(draw);
      }
    }).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  }

  // After `load`, because the theme's script sets the page's colours before then.
  if (document.readyState === "complete") {
    begin();
  } else {
    window.addEventListener("load", begin);
  }
})();
