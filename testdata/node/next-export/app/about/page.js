export default function About() {
  return <h1>about birds</h1>;
}
