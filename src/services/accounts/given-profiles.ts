const MAX_NAME_CHARACTERS = 256
const MAX_EMAILS = 10
const EMAIL = /^[^\s@\p{Cc}]{1,64}@[^\s@\p{Cc}]{1,190}$/u
/** Control characters, and halves of characters, which databases refuse. */
const UNWANTED = /[\p{Cc}\p{Cs}]/gu

/** Whether a text has what a database refuses, or nobody can see. */
export function hasUnwanted(text: string): boolean {
  return text.search(UNWANTED) !== -1
}

/** What another service calls somebody, as it can be kept; undefined where nothing is left of it. */
export function cleanDisplayName(name: string | undefined): string | undefined {
  const clean = Array.from((name ?? '').replace(UNWANTED, ''))
    .slice(0, MAX_NAME_CHARACTERS)
    .join('')
    .trim()
  return clean === '' ? undefined : clean
}

/** Addresses of somebody that another service knows, in canonical form: those that are some, and not too many. */
export function cleanEmails(emails: readonly string[]): string[] {
  const known = new Set(emails.map((email) => email.toLowerCase()))
  return [...known].filter((email) => EMAIL.test(email) && !hasUnwanted(email)).slice(0, MAX_EMAILS)
}
