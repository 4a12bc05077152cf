// One entry point. Every element works on server-rendered markup and only adds behaviour to it.
import "./elements/sn-theme.js";
import "./elements/sn-keys.js";
import "./elements/sn-sort.js";
import "./elements/sn-rows.js";
import "./elements/sn-threshold.js";
import "./elements/sn-overlay.js";
import "./elements/sn-swipe.js";
import "./elements/sn-drop.js";
import "./elements/sn-single.js";
import "./poll.js";
import "./copy.js";
import "./latest.js";
import "./failures.js";
// On a narrow screen the bar scrolls: show the page that is open.
document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
