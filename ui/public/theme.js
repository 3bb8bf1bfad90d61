// Runs before the first paint (index.html). src/app/theme.ts does the same later and must agree on the key and words.
(() => {
  var choice = null;
  try {
    choice = localStorage.getItem("tstr.theme");
  } catch (_) {
    // Storage can be forbidden; the system's choice is good enough then.
  }
  var dark = choice === "dark" || (choice !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
