import bcrypt from 'bcrypt'

export interface PasswordHashOptions {
  /** The cost: each one more doubles the work. */
  readonly rounds: number
  /** A secret outside of the database that is part of every password. */
  readonly pepper: string
}

/**
 * Hashes passwords with bcrypt in the thread pool. The text is brought into NFKC first, so that it does not matter how
 * a keyboard composes letters; bcrypt looks at the first 72 bytes.
 */
export class BcryptHasher {
  readonly #options: PasswordHashOptions

  constructor(options: PasswordHashOptions) {
    this.#options = options
  }

  hash(password: string): Promise<string> {
    return bcrypt.hash(this.#peppered(password), this.#options.rounds)
  }

  /** False, too, for what is no hash of this kind. */
  verify(password: string, hash: string): Promise<boolean> {
    return bcrypt.compare(this.#peppered(password), hash)
  }

  #peppered(password: string): string {
    return password.normalize('NFKC') + this.#options.pepper
  }
}
