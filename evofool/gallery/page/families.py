"""Families of the 1000 ImageNet classes: what WordNet would group, as a table of class indices.

The first 398 classes follow the tree of life; the things after them are in alphabetical order and
are listed one by one. Written by hand from the names of the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from evofool.classifiers.labels import shipped_labels

_TABLE = {
    "Dogs": "151-268",
    "Cats": "281-287",
    "Wild cats, wolves and bears": "269-280 288-299",
    "Apes and monkeys": "365-384",
    "Other mammals": "101-106 147-150 330-364 385-388",
    "Birds": "7-24 80-100 127-146",
    "Reptiles and amphibians": "25-68",
    "Fish": "0-6 389-397",
    "Insects and spiders": "70-79 300-326",
    "Sea creatures and molluscs": "69 107-126 327-329",
    "Plants and fungi": "984-998",
    "Landscapes": "460 970 972-980",
    "Food and drink": "923-969 987",
    "Buildings and places": (
        "410 415 424-425 437 442 448-449 454 467 483 497-498 500 509 525 536 538 540 562 571"
        " 580-582 624 634 646 649 663 668 672 682 698 703 706 716 718 727 743 755 762 781 788"
        " 807 819 821 825 832 839 853 858 860 865 873 884 888 900 912 915 920"
    ),
    "Vehicles and vessels": (
        "403-405 407-408 417 428 436 444 450 466 468 472 484 510-511 537 547 554-555 561 565"
        " 569 573 575-576 586 595 603 609 612 621 625 627-628 654 656 660-661 665 670-671 675"
        " 690 694 705 717 724 730 734 751 757 779-780 802-803 812 814 817 820 829 833 847 856"
        " 864 866-867 870-871 874 880 895 908 913-914"
    ),
    "Musical instruments": (
        "401-402 420 432 486 494 513 541-542 546 558 566 577 579 593-594 641-642 683-684 687"
        " 699 776 822 875 881 889"
    ),
    "Clothing and adornment": (
        "399-400 411 414 433 439 443 445 451-452 457 459 461 465 474 490 496 501-502 514-515"
        " 518 524 529 552 560 568 570 578 584 591 601 608 610 614-615 617 630 636 638-639 643"
        " 652 655 658 667 678-679 689 691 697 715 735 748 770 774-775 785 793 796 806 808 824"
        " 834 836-837 841-842 869 879 887 893 903 906"
    ),
    "Furniture and household": (
        "412 419 423 431 434-435 446 453 462-463 470 492-493 495 516 520 526 532-533 539 548"
        " 553 556 559 564 588 599 606 618-619 631 640 648 669 677 700 708 721 731 741 750 765"
        " 789 794 797 799 804 811 831 846 854 857 861 876 882-883 885 894 896-897 904-905 911"
        " 999"
    ),
    "Kitchen and tableware": (
        "438 440-441 455 469 473 499 503-505 507 512 521 534 544 550 567 572 647 651 653 659"
        " 666 725 729 737-738 760 766 773 809 813 827-828 849 859 868 891 898-899 901 907 909"
        " 910"
    ),
    "Sport and play": (
        "416 422 429-430 476 522 543 574 602 611 693 701-702 719 722-723 736 746-747 752 768"
        " 795 801 805 843 850 852 890 981"
    ),
    "Electronics": (
        "480-482 485 487 508 527-528 530 545 590 592 598 605 613 620 632 650 662 664 673 681"
        " 688 707 713 732 742 745 754 759 761 782 810 848 851 878 916"
    ),
    "Tools and instruments": (
        "398 409 413 418 426-427 447 456 471 477 488 491 531 549 563 583 587 596-597 600 604"
        " 622-623 626 633 635 644 657 674 676 685-686 692 695-696 709-710 712 714 720 726 733"
        " 739-740 744 749 758 763-764 767 769 771-772 777-778 783-784 786-787 792 798 800 815"
        " 816 818 823 826 830 835 840 844-845 855 862 872 877 886 892 902"
    ),
}
OTHER = "Other things"


@cache
def _of_imagenet() -> tuple[str, ...]:
    families = [OTHER] * 1000
    for family, ranges in _TABLE.items():
        for part in ranges.split():
            low, _, high = part.partition("-")
            for index in range(int(low), int(high or low) + 1):
                families[index] = family
    return tuple(families)


def families(labels: Sequence[str]) -> tuple[str, ...] | None:
    """The family of each class, or None for labels other than the bundled ImageNet ones."""
    if tuple(labels) != shipped_labels("imagenet"):
        return None
    return _of_imagenet()


NAMES: tuple[str, ...] = (*_TABLE, OTHER)
"""All families in the order in which a page shows them."""
