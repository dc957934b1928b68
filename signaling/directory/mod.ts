export { Accounts, type Account } from './accounts.ts';
export { Tenants } from './tenants.ts';
