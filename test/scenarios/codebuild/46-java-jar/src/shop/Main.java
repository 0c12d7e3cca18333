package shop;

public class Main {
  public static void main(String[] names) {
    System.out.println("hello " + names[0]);
  }
}
