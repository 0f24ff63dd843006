// Logs in by hand, as a reader does.

export async function login(page, name, password) {
  await page.until("document.querySelector('.login')", "the login form");
  await page.fill("User", name);
  await page.fill("Password", password);
  await page.click("Log in");
  await page.until("document.querySelector('#page > .content')", "the first page");
}
