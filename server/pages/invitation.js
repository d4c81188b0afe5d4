// Accepts the invitation whose token is the last part of this page's address.
const form = document.querySelector("form");
const status = document.querySelector("[role=status]");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  form.querySelector("button").disabled = true;
  const token = location.pathname.split("/").filter(Boolean).pop();
  const here = location.pathname.lastIndexOf("/" + token);
  try {
    const response = await fetch(location.pathname.slice(0, here) + "/accept", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token, password: form.password.value }),
    });
    const body = await response.json();
    const reasons = (body.errors ?? []).map((error) => error.detail).join(" ");
    status.textContent = response.ok ? "Welcome! You can sign in now." : reasons || body.detail;
    form.hidden = response.ok;
  } catch {
    status.textContent = "The server cannot be reached. Try again in a moment.";
  }
  form.querySelector("button").disabled = false;
});
