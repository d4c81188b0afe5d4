import { setTimeout as wait } from 'node:timers/promises';

// The inbox belongs to development and not to the document, so no generated code reads it.
interface Inbox {
  items: { text: string }[];
}

// mailedToken waits for the mail with a link to this path and takes the token out of it, as the reader's browser would.
export async function mailedToken(baseUrl: string, email: string, path: string): Promise<string> {
  const start = baseUrl + path;
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await wait(200)) {
    const response = await fetch(`${baseUrl}/dev/inbox?${new URLSearchParams({ to: email })}`, {
      headers: { Accept: 'application/json' },
    });
    if (!response.ok) {
      throw new Error(`the inbox answers ${response.status}`);
    }
    const inbox: Inbox = await response.json();
    for (const { text } of inbox.items) {
      const token = text.split(/\s+/).find((word) => word.startsWith(start))?.slice(start.length);
      if (token !== undefined) {
        return token;
      }
    }
  }
  throw new Error(`no mail came for ${email}`);
}
