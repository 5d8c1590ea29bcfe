export const greeting = (wait: number): string => `waited ${wait}\n`;
