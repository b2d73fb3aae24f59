// What textual-serve's page does beside the terminal: keys go to the app as soon as it is there; where it has ended,
// the tab can open another one.
"use strict";

const again = document.getElementById("again");
again.addEventListener("click", () => window.location.reload());

const giveFocus = () => {
  const ended = document.body.classList.contains("-closed");
  const opened = document.body.classList.contains("-first-byte");
  const keys = ended ? again : opened ? document.querySelector(".xterm-helper-textarea") : null;
  if (keys) keys.focus();
};

new MutationObserver(giveFocus).observe(document.body, { attributes: true, attributeFilter: ["class"] });
window.addEventListener("focus", giveFocus);
