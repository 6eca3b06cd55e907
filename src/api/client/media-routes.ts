import type { Route } from '../../http/route.js'
import * as authedContentRepo from './authed-content-repo.js'
import * as contentRepo from './content-repo.js'

/** The endpoints of files. */
export const mediaRoutes: readonly Route[] = [contentRepo, authedContentRepo].flatMap((file) =>
  Object.values<Route>(file),
)
