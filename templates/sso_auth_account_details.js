(() => {
  const field = document.getElementById("field-username");
  const output = document.getElementById("field-username-output");
  let timer;

  const say = (text) => {
    output.textContent = text;
    output.className = text ? "error" : "";
  };

  async function check() {
    const username = field.value;
    if (!username) return;
    const response = await fetch(`check?username=${encodeURIComponent(username)}`, { credentials: "same-origin" });
    const answer = await response.json();
    // Another answer may be on its way already.
    if (field.value !== username) return;
    if (answer.error) say(answer.error);
    else say(answer.available ? "" : `${username} is taken already.`);
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    say("");
    // Whether it can be had is said when the form is sent, too.
    timer = setTimeout(() => check().catch(() => undefined), 400);
  });
})();
